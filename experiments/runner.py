"""Run all cells of a grid on one set of examples, each once; a second run resumes where the first one stopped."""

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import numpy as np

from experiments import page, report
from experiments.examples import Examples, Fold
from experiments.findings import Findings
from experiments.grid import Grid
from experiments.head import HeadLearners, head_vectors
from experiments.learner import Learners
from experiments.noise import Noise, NoiseKind
from experiments.policies import policy
from experiments.ranks import Ranks, measure
from experiments.results import Results
from experiments.stage import ambiguity, size, stage
from experiments.transformer import TransformerLearners, tokenizer_file
from experiments.trial import Clock, Outcome, Trial, seconds
from experiments.vectors import encode
from importance import estimators
from importance.callbacks import OnProgress
from importance.errors import InvalidInput

RANKS = "ranks.json"
METHOD = 1
"""Version of the method, raised whenever a cell's metrics would change: no directory mixes two methods."""
_PROVIDED = {"head": HeadLearners.provides, "transformer": TransformerLearners.provides}

OnOutcome = Callable[[Outcome], None]


def run(
    grid: Grid,
    examples: Examples,
    directory: Path,
    cache: Path,
    progress: OnProgress,
    on_outcome: OnOutcome | None = None,
    clock: Clock = seconds,
) -> Results:
    """Run the missing cells and the rank correlation of the estimators.

    ``directory`` stores results and conditions, ``cache`` vectors; ``on_outcome`` is called after each cell.
    """
    check_needs(grid)
    check_holdout(examples)
    examples = examples.at_most(grid.pool)
    results = Results(directory, conditions(grid, examples))
    cells = list(grid.cells(examples.name, size(examples)))
    left = [cell for cell in cells if cell.key not in results]
    if left and not results.may_grow:
        raise InvalidInput(
            f"{directory} lacks {len(left)} runs of the grid and was written by an older version, which did not record "
            "all that must be the same in them: take another --output"
        )
    ranked = bool(results.records) and (directory / RANKS).exists()  # without records they may be of other examples
    if not left and (ranked or not results.may_grow):
        return results
    if results.records:
        check_tokenizer(grid, examples, directory)
    learners = make_learners(grid, examples, directory, cache, progress)
    if not ranked:
        rank(examples, learners).save(directory / RANKS)
    confuses = any(cell.noise.kind is NoiseKind.CONFUSABLE for cell in left)
    confusing = ambiguity(examples, learners) if confuses else np.ones(len(examples))
    done = len(cells) - len(left)
    progress("running cells", done, len(cells))
    for (noise, seed), part in groupby(left, key=lambda cell: (cell.noise, cell.seed)):
        prepared = stage(examples, learners, confusing, noise, seed)
        for cell in part:
            outcome = Trial(cell, prepared, grid.epochs, clock).run()
            results.add(outcome)
            if on_outcome is not None:
                on_outcome(outcome)
            done += 1
            progress("running cells", done, len(cells))
    return results


def rank(examples: Examples, learners: Learners) -> Ranks:
    """Measure the rank correlation of the estimators that the learners provide for, on true labels."""
    noiseless = stage(examples, learners, np.ones(len(examples)), Noise(), seed=0)
    return measure(noiseless, [name for name in estimators.names() if estimators.get(name).needs <= learners.provides])


def conditions(grid: Grid, examples: Examples) -> dict[str, object]:
    """Return what must be the same in all cells of a directory; policies, ratios, noises and seeds may be added."""
    return {
        "method": METHOD,
        "data": examples.name,
        "content": examples.digest(),
        "judged": len(examples.rows(examples.judged)),
        "learner": grid.learner,
        "epochs": grid.epochs,
        "pool": grid.pool,
    }


def check_needs(grid: Grid) -> None:
    """Raise InvalidInput when the grid's learners do not provide for one of its policies."""
    for name in grid.policies:
        missing = sorted(policy(name).needs - _PROVIDED[grid.learner])
        if missing:
            raise InvalidInput(
                f"policy {name} needs {', '.join(missing)}, which the learner {grid.learner} has not: leave it out"
            )


def check_holdout(examples: Examples) -> None:
    """Raise InvalidInput without a holdout: estimators with state need it, and all estimators are ranked."""
    if not len(examples.rows(Fold.HOLDOUT)):
        raise InvalidInput(
            f"{examples.name}: no row is in the holdout, which gets a tenth of the groups by hash, and there are only "
            f"{len(np.unique(examples.groups))}: give more rows, or smaller groups with --column group=COLUMN"
        )


def check_tokenizer(grid: Grid, examples: Examples, directory: Path) -> None:
    """Raise InvalidInput when the tokenizer of the finished runs is missing: runs of another are not comparable."""
    if grid.learner == "transformer" and not (file := tokenizer_file(directory, examples)).exists():
        raise InvalidInput(f"{directory} has runs, and {file.name} is gone, their tokenizer: take another --output")


def make_learners(grid: Grid, examples: Examples, directory: Path, cache: Path, progress: OnProgress) -> Learners:
    """Create the learners that the grid names, over these examples."""
    if grid.learner == "transformer":
        return TransformerLearners(examples, directory)
    return HeadLearners(head_vectors(examples, lambda texts: encode(texts, cache / "vectors", progress)))


def write_report(grid: Grid, examples: Examples, about: str, results: Results, directory: Path) -> None:
    """Write report.md, report.html and the plots of the finished cells."""
    examples = examples.at_most(grid.pool)
    findings = Findings(results.records, examples, results.prediction, np.random.default_rng(0))
    ranks = Ranks.load(directory / RANKS) if (directory / RANKS).exists() else None
    missing = sum(cell.key not in results for cell in grid.cells(examples.name, size(examples)))
    page.save(
        f"What importance is worth: {examples.name}", report.blocks(about, grid, findings, ranks, missing), directory
    )
