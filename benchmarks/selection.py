"""Does selection prove itself? The race of policies, every fixed policy, and uniform, over the same streams.

    nice python benchmarks/selection.py > benchmarks/results/selection.md

The service's loop in arrays (`experiments/service.py`): buffer, keys, weights and batches are the service's, the model
is a head on frozen MiniLM vectors. Every policy of the race also runs alone over the whole stream: the best of these is
the best fixed policy in hindsight. AUC of predictions made before anything learned from the sample; differences are
paired by seed and subject. Then a stream that is built so that selection hurts for a while.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import _report as report
from datasets import complete_journey, open_dataset
from experiments import vectors
from experiments.comparison import Bootstrap, RunMetric, auc_metric
from experiments.examples import Examples, Fold
from experiments.head import HeadLearner, HeadLearners, head_vectors
from experiments.hurting import Parts, hurting_stream
from experiments.noise import Noise
from experiments.service import ROUND, Followed, Round, Service, Stream, blocks, top_weights
from experiments.sources import SHOPS, shop_stream
from experiments.stage import stage
from importance.control_arm import fallen_back
from importance.evidence import Interval, paired_auc
from importance.race.choice import Choice, choose
from importance.race.policy import Policy, rivals
from importance.race.standing import Standing
from importance.race.track import Track
from importance.sample import Sample, labels
from trainer.bootstrap import FirstTraining, train_first
from trainer.device import use_threads
from trainer.labelled import Labelled
from trainer.scorer import Scorer, ScoringConfig
from weir.roles.racing import Racing
from weir.settings import Settings, race, read
from weir.settings.values import mixture

HALF_LIFE_SECONDS = 14 * 86_400.0
CONFIGURED = Policy("last_layer_norm", 0.25, HALF_LIFE_SECONDS)
NAMES = ("uniform", "last_layer_norm", "loss", "entropy")


class Following:
    """Follow a race: each round judges the heads, and the next fine-tune takes whom the evidence shows."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = policies
        self.track = Track(policies)
        self.standing = Standing.nothing(len(policies))
        self.choice = Choice(1, self.standing)
        self.followed: list[int] = []
        self.seconds = 0.0

    def __call__(self, seen: Round) -> Followed:
        """Observe the round as a worker does, call by call, and choose."""
        started = process_time()
        for block in blocks(seen.block).values():
            self.standing += self.track.observe(block)
        self.choice = choose(self.choice, self.standing)
        self.seconds += process_time() - started
        self.followed.append(self.choice.policy)
        return Followed(self.policies[self.choice.policy])


def main() -> None:
    """Run all, and print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=sorted(SHOPS), default=sorted(SHOPS, reverse=True))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=100_000, help="of a stream at most, whole customers")
    options = parser.parse_args()
    use_threads(1)
    print("# Selection: the race of policies and the control arm\n")
    print("`python benchmarks/selection.py " + " ".join(f"--{k} {_shown(v)}" for k, v in vars(options).items()) + "`\n")
    print(report.conditions("numpy", "scipy", "torch") + "\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="weir-selection-") as cache:
        for name in options.data:
            _print_race(name, options.seeds, options.samples, Path(cache))
    print(cpu_share(list(open_dataset(complete_journey.NAME, 0, read().data_dir, read().home).history())))
    print(fall_back(options.seeds))


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _always(followed: Followed, _round: Round) -> Followed:
    return followed


def _print_race(name: str, seeds: int, samples: int, cache: Path) -> None:
    settings = read()
    examples = shop_stream(name, settings.data_dir, settings.home, lambda *_: None).at_most(samples)
    learners = HeadLearners(head_vectors(examples, lambda texts: vectors.encode(texts, cache, lambda *_: None)))
    policies = rivals(CONFIGURED)
    judged = examples.rows(Fold.POOL)
    found: dict[str, list[RunMetric]] = {}
    races = []
    for seed in range(seeds):
        stream, start = prepared(examples, learners, seed)
        racing = Following(policies)
        runs: dict[str, Callable[[Round], Followed]] = {"the race": racing}
        runs |= {str(policy): partial(_always, Followed(policy)) for policy in policies}
        for label, follow in runs.items():
            service = Service(stream, start.clone(), NAMES, HALF_LIFE_SECONDS, seed)
            metric = auc_metric(stream.labels, service.run(follow), examples.groups[judged])
            found.setdefault(label, []).append(metric)
        races.append(racing)
        print(f"{name}: seed {seed} done", file=sys.stderr, flush=True)
    print(f"## {name}\n\n{len(judged):,} samples of {len(set(examples.groups[judged].tolist())):,} subjects.\n")
    print(_race_table(found, policies, len(found["the race"][0].parts)))
    print(_followed(races))
    print(_standing_table(races[0]))
    share = np.mean([1e6 * racing.seconds / len(judged) for racing in races])
    print(f"The race took {share:.0f} µs of CPU a sample, for {len(policies)} heads of 129 parameters.\n", flush=True)


def prepared(examples: Examples, learners: HeadLearners, seed: int) -> tuple[Stream, HeadLearner]:
    """Return the stream of a seed, and a head that has learned from the history."""
    flat = np.zeros(len(examples))
    ready = stage(examples, learners, flat, Noise(), seed)
    rows, history = examples.rows(Fold.POOL), examples.rows(Fold.HISTORY)
    assert examples.times_ms is not None
    assert isinstance(ready.start, HeadLearner)
    before = (history, examples.labels[history])
    return Stream.of(
        rows, examples.labels[rows], examples.groups[rows], examples.times_ms[rows], before, seed
    ), ready.start


def _race_table(found: dict[str, list[RunMetric]], policies: Sequence[Policy], groups: int) -> str:
    uniform, default = found[str(policies[0])], found[str(policies[1])]
    fixed = {label: metrics for label, metrics in found.items() if label != "the race"}
    best = max(fixed, key=lambda label: np.mean([metric.value for metric in fixed[label]]))
    bootstrap = Bootstrap(groups, np.random.default_rng(0))

    def cell(ours: list[RunMetric], theirs: list[RunMetric]) -> str:
        return "–" if ours is theirs else _points(bootstrap.difference(ours, theirs).interval)

    rows = [
        (
            f"{label}{' (default)' if metrics is default else ''}{' (best fixed)' if label == best else ''}",
            f"{np.mean([metric.value for metric in metrics]):.4f}",
            cell(metrics, uniform),
            cell(metrics, default),
            cell(metrics, fixed[best]),
        )
        for label, metrics in found.items()
    ]
    regret = [
        max(each[seed].value for each in fixed.values()) - found["the race"][seed].value for seed in range(len(uniform))
    ]
    table = report.table(
        "AUC, and differences in points", ("policy", "AUC", "− uniform", "− default", "− best fixed"), rows
    )
    return f"{table}\nRegret to the best fixed policy of each seed: {100 * np.mean(regret):.2f} points of AUC, mean.\n"


def _points(found: Interval) -> str:
    return f"{100 * found.estimate:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"


def _followed(races: Sequence[Following]) -> str:
    lines = []
    for seed, racing in enumerate(races):
        changes = [at for at in range(1, len(racing.followed)) if racing.followed[at] != racing.followed[at - 1]]
        moves = "; ".join(f"round {at + 1}: {racing.policies[racing.followed[at]]}" for at in changes)
        start = f"starts with {racing.policies[racing.followed[0]]}"
        lines.append(f"- Seed {seed}: {start}{'; ' + moves if moves else ', and stays there'}.")
    return "\n".join(lines) + "\n"


def _standing_table(racing: Following) -> str:
    standing = racing.standing
    rows = []
    for k, policy in enumerate(racing.policies):
        gain = standing.gain(k)
        interval = f"{1e4 * gain.estimate:+.2f} [{1e4 * gain.low:+.2f}, {1e4 * gain.high:+.2f}]"
        rows.append((policy, interval, f"{standing.log_e[k, 0]:+.1f}", f"{standing.log_e[0, k]:+.1f}"))
    columns = ("policy", "gain over uniform, Brier × 10⁴", "ln E better", "ln E worse")
    return report.table(f"The race of seed 0, {standing.results:,} results", columns, rows)


def cpu_share(samples: Sequence[Sample], calls: Sequence[int] = (1_000, 250, 25), total: int = 4_000) -> str:
    """Return the table of CPU time of the race next to scoring by the built-in network, one pass, by samples a call."""
    settings, rows = Settings(), []
    with tempfile.TemporaryDirectory(prefix="weir-selection-") as directory:
        training = FirstTraining(epochs=1)
        history = Labelled(samples[:2_000], np.array(labels(samples[:2_000]), np.int64))
        version = train_first(history, Path(directory) / "v1", history, training)
        for size in calls:
            config = ScoringConfig(
                mixture(settings), rivals=tuple({each.estimator for each in race.policies(settings)})
            )
            scorer, racing, spent = Scorer(config, torch.device("cpu")), Racing(settings), np.zeros(2)
            scorer.swap("v1", version)
            for start in range(0, total, size):
                part = samples[start : start + size]
                began = process_time()
                scores = scorer.score(part)
                between = process_time()
                racing.observe(part, scores)
                if start:  # the first call warms up
                    spent += between - began, process_time() - between
            micro = 1e6 * spent / (total - size)
            rows.append((size, f"{micro[0]:.0f}", f"{micro[1]:.1f}", f"{100 * micro[1] / micro.sum():.1f} %"))
    columns = ("samples a call", "scoring, µs a sample", "race, µs a sample", "share of the two")
    return "## CPU in a worker\n\n" + report.table(
        "Nine heads on the 128 hidden numbers of the built-in network", columns, rows
    )


def fall_back(seeds: int) -> str:
    """Return the table of the stream on which selection by the top half of losses hurts for a while."""
    policy, parts, rows = Policy("loss", 0.25, HALF_LIFE_SECONDS), Parts(), []
    judged = slice(parts.before, None)
    for seed in range(seeds):
        active: list[bool] = []

        def guarded(seen: Round, active: list[bool] = active) -> Followed:
            active.append(fallen_back(seen.results))
            return Followed(policy, uniform_only=active[-1], control=True)

        runs: dict[str, Callable[[Round], Followed]] = {
            "guarded": guarded,
            "never": lambda _: Followed(policy),
            "uniform": lambda _: Followed(policy, uniform_only=True),
        }
        found = {}
        for name, follow in runs.items():
            stream, start = hurting_stream(seed, parts)
            service = Service(stream, start, ("loss",), HALF_LIFE_SECONDS, seed, top_weights)
            prediction = service.run(follow)[judged]
            found[name] = paired_auc(stream.labels[judged], prediction, prediction).candidate
        changes = [at for at in range(1, len(active)) if active[at] != active[at - 1]]
        fired, returned = (", ".join(f"{at + 1}" for at in changes[first::2]) or "–" for first in (0, 1))
        rows.append((seed, fired, returned, *(f"{found[name]:.4f}" for name in runs)))
    columns = (
        "seed",
        "falls back in round",
        "returns in round",
        "AUC guarded",
        "AUC never falling back",
        "AUC uniform",
    )
    first, last = parts.before // ROUND + 1, (parts.before + parts.noisy) // ROUND
    title = f"Selection by the largest fifth of losses; 30 % of the labels of rounds {first} to {last} are wrong"
    return f"## A stream on which selection hurts\n\n{report.table(title, columns, rows)}"


if __name__ == "__main__":
    main()
