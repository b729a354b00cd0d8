"""What is refused before anything is trained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from importance.errors import InvalidInput
from tests.unit.weir_benchmark.shop import shop
from weir.benchmark.examples import Fold
from weir.benchmark.grid import Grid
from weir.benchmark.runner import run

GRID = Grid(learner="transformer", policies=("last_layer_norm",), keep_ratios=(0.2, 1.0), seeds=1)


def _silent(_what: str, _done: int, _all: int) -> None:
    """No progress is shown."""


def test_examples_without_a_holdout_are_refused_in_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    examples = shop()
    bare = replace(examples, folds=np.where(examples.folds == Fold.HOLDOUT, Fold.POOL, examples.folds))
    with pytest.raises(InvalidInput, match=r"shop: no row is in the holdout.*--column group=") as refusal:
        run(GRID, bare, tmp_path / "out", tmp_path / "cache", _silent)
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())
