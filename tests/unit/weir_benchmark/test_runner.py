"""What is refused before anything is trained."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from importance.errors import InvalidInput
from tests.unit.weir_benchmark.shop import shop
from weir.benchmark.examples import Fold
from weir.benchmark.grid import Grid
from weir.benchmark.ranks import Ranks
from weir.benchmark.results import CONDITIONS
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


def test_two_files_of_one_name_share_neither_results_nor_a_tokenizer(tmp_path: Path) -> None:
    out, cache = tmp_path / "out", tmp_path / "cache"
    first, other = shop(count=120), replace(shop(count=120), texts=tuple(f"a {text}" for text in shop(count=120).texts))
    run(SMALL, first, out, cache, _silent)
    with pytest.raises(InvalidInput, match="take another --output"):
        run(SMALL, other, out, cache, _silent)
    run(SMALL, other, tmp_path / "other", cache, _silent)
    assert len(list(cache.glob("tokenizer-shop-*.json"))) == 2


def test_results_that_do_not_say_of_which_rows_they_are_are_read_and_not_added_to(tmp_path: Path) -> None:
    examples, out = shop(count=120), tmp_path / "out"
    run(SMALL, examples, out, tmp_path / "cache", _silent)
    kept = json.loads((out / CONDITIONS).read_text())
    del kept["content"]
    (out / CONDITIONS).write_text(json.dumps(kept))
    assert len(run(SMALL, examples, out, tmp_path / "cache", _silent).records) == 2
    with pytest.raises(InvalidInput, match="older version"):
        run(msgspec.structs.replace(SMALL, seeds=2), examples, out, tmp_path / "cache", _silent)
