"""What is refused before anything is trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from importance.errors import InvalidInput
from tests.unit.weir_benchmark.shop import shop
from weir.benchmark.examples import Fold
from weir.benchmark.grid import Grid
from weir.benchmark.ranks import Ranks
from weir.benchmark.runner import RANKS, run

GRID = Grid(learner="transformer", policies=("last_layer_norm",), keep_ratios=(0.2, 1.0), seeds=1)
SMALL = Grid(learner="transformer", policies=(), keep_ratios=(1.0,), seeds=1, epochs=1)


def _silent(_what: str, _done: int, _all: int) -> None:
    """No progress is shown."""


def test_examples_without_a_holdout_are_refused_in_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    examples = shop()
    bare = replace(examples, folds=np.where(examples.folds == Fold.HOLDOUT, Fold.POOL, examples.folds))
    with pytest.raises(InvalidInput, match=r"shop: no row is in the holdout.*--column group=") as refusal:
        run(GRID, bare, tmp_path / "out", tmp_path / "cache", _silent)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_ranks_that_a_failed_run_left_are_measured_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / RANKS).write_text("half of")
    results = run(SMALL, shop(count=120), out, tmp_path / "cache", _silent)
    assert len(results.records) == 2
    assert "loss" in Ranks.load(out / RANKS).names
