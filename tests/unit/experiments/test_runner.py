"""What is refused before anything is trained."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from experiments.examples import Fold
from experiments.grid import Grid
from experiments.ranks import Ranks
from experiments.results import CONDITIONS
from experiments.runner import METHOD, RANKS, run
from importance.errors import InvalidInput
from tests.unit.experiments.shop import shop

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
    tokenizers = [next(directory.glob("tokenizer-*.json")).name for directory in (out, tmp_path / "other")]
    assert len(set(tokenizers)) == 2
    assert not cache.exists()


def test_a_benchmark_goes_on_with_its_own_tokenizer_and_not_without_it(tmp_path: Path) -> None:
    out, more = tmp_path / "out", msgspec.structs.replace(SMALL, seeds=2)
    run(SMALL, shop(count=120), out, tmp_path / "cache", _silent)
    (tokenizer,) = out.glob("tokenizer-*.json")
    tokenizer.rename(tmp_path / "kept")
    assert len(run(SMALL, shop(count=120), out, tmp_path / "cache", _silent).records) == 2  # nothing is left to run
    with pytest.raises(InvalidInput, match=r"tokenizer-.*\.json is gone, their tokenizer: take another --output"):
        run(more, shop(count=120), out, tmp_path / "cache", _silent)
    (tmp_path / "kept").rename(tokenizer)
    assert len(run(more, shop(count=120), out, tmp_path / "cache", _silent).records) == 4


def test_results_of_another_method_are_not_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(SMALL, shop(count=120), out, tmp_path / "cache", _silent)
    kept = json.loads((out / CONDITIONS).read_text())
    (out / CONDITIONS).write_text(json.dumps(kept | {"method": METHOD - 1}))
    with pytest.raises(InvalidInput, match="take another --output"):
        run(SMALL, shop(count=120), out, tmp_path / "cache", _silent)


@pytest.mark.parametrize("unsaid", ["content", "method"])
def test_results_that_do_not_say_all_of_how_they_were_made_are_read_and_not_added_to(
    tmp_path: Path, unsaid: str
) -> None:
    examples, out = shop(count=120), tmp_path / "out"
    run(SMALL, examples, out, tmp_path / "cache", _silent)
    kept = json.loads((out / CONDITIONS).read_text())
    del kept[unsaid]
    (out / CONDITIONS).write_text(json.dumps(kept))
    assert len(run(SMALL, examples, out, tmp_path / "cache", _silent).records) == 2
    with pytest.raises(InvalidInput, match="older version"):
        run(msgspec.structs.replace(SMALL, seeds=2), examples, out, tmp_path / "cache", _silent)
