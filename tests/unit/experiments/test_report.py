"""What the report says of a few finished cells of the shop."""

from collections.abc import Iterable

import numpy as np
import pytest

from experiments import report
from experiments.findings import Findings
from experiments.grid import Grid
from experiments.head import HeadLearners
from experiments.noise import NoiseKind
from experiments.page import Block, Table, Text
from experiments.stage import size, stage
from experiments.trial import Trial
from tests.unit.experiments.shop import shop, vectors

EXAMPLES = shop()
CLEAN = ((0.0, NoiseKind.UNIFORM),)
NOISE = (*CLEAN, (0.2, NoiseKind.UNIFORM))


def _blocks(
    policies: tuple[str, ...], ratio: float = 0.2, noise: tuple[tuple[float, NoiseKind], ...] = CLEAN
) -> list[Block]:
    grid = Grid(learner="head", policies=policies, keep_ratios=(ratio, 1.0), noise=noise, seeds=1, epochs=1)
    learners = HeadLearners(vectors(EXAMPLES))
    records, predictions = [], {}
    for cell in grid.cells(EXAMPLES.name, size(EXAMPLES)):
        prepared = stage(EXAMPLES, learners, np.ones(len(EXAMPLES)), cell.noise, cell.seed)
        outcome = Trial(cell, prepared, grid.epochs, lambda: np.zeros(2)).run()
        records.append(outcome.record)
        predictions[cell.key] = outcome.prediction
    findings = Findings(records, EXAMPLES, predictions.__getitem__, np.random.default_rng(0))
    return report.blocks("a shop", grid, findings, None, 0)


def _text(blocks: Iterable[Block]) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, Text))


def _noise_rows(blocks: Iterable[Block]) -> dict[tuple[str, str], str]:
    """The weighted share by policy and ratio."""
    tables = [block for block in blocks if isinstance(block, Table) and block.header[-1].startswith("weighted by 1/p")]
    return {(row[0], row[1]): row[-1] for row in tables[0].rows}


@pytest.fixture(scope="module")
def usual() -> list[Block]:
    """The default, and what differs from it."""
    return _blocks(("last_layer_norm", "loss_top", "rho"), noise=NOISE)


def test_a_share_weighted_by_chances_is_shown_only_where_there_were_any(usual: list[Block]) -> None:
    rows = _noise_rows(usual)
    assert rows["loss_top", "20%"] == rows["uniform", "20%"] == "–"
    for name in ("last_layer_norm", "rs2", "rho"):
        assert rows[name, "20%"].endswith("%]")


def test_it_says_where_the_random_policy_had_less_compute_for_want_of_steps(
    usual: list[Block],
) -> None:
    assert "the comparison favours the policy" not in _text(usual)
    greedy = _blocks(("loss", "rho"), ratio=0.64)  # 0.64 + 1/3 is less than all, and the memory's passes make it more
    assert "the comparison favours the policy" in _text(greedy)
    (table,) = [block for block in greedy if isinstance(block, Table) and block.header[-1] == "of its RS2"]
    assert {row[0] for row in table.rows} == {"rho"}


@pytest.mark.parametrize(
    ("policies", "said"), [(("loss_top",), "was not run"), ((), "was not run"), (("last_layer_norm",), "comes first")]
)
def test_the_default_comes_first_only_where_it_was_run(policies: tuple[str, ...], said: str) -> None:
    (line,) = [line for line in _text(_blocks(policies)).splitlines() if "default, last_layer_norm" in line]
    assert said in line
    assert line.count("comes first") == (said == "comes first")


def test_random_policies_are_shown_at_the_ratios_that_the_others_ran_at(usual: list[Block]) -> None:
    assert {ratio for name, ratio in _noise_rows(usual) if name == "rs2"} == {"20%"}
