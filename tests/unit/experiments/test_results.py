import os
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from experiments.results import TABLE, Results, locked, replace_file
from experiments.trial import Outcome
from importance.errors import Conflict, InvalidInput

CONDITIONS: dict[str, object] = {"data": "shop", "epochs": 3}


def _outcome(key: str) -> Outcome:
    return Outcome({"key": key, "auc": 0.5, "curve_steps": [1, 2]}, np.array([0.25, 0.75]))


def test_what_was_added_is_there_for_the_next_run(tmp_path: Path) -> None:
    first = Results(tmp_path, CONDITIONS)
    first.add(_outcome("a"))
    first.add(_outcome("b"))
    second = Results(tmp_path, CONDITIONS)
    assert ("a" in second, "b" in second, "c" in second) == (True, True, False)
    assert second.records == first.records
    assert second.prediction("a").tolist() == [0.25, 0.75]


def test_a_file_that_was_half_written_when_the_process_died_is_never_read(tmp_path: Path) -> None:
    Results(tmp_path, CONDITIONS).add(_outcome("a"))
    (tmp_path / f".{TABLE}.{os.getpid()}.partial").write_bytes(b"PAR1 half of it")
    (tmp_path / "predictions" / f".b.npy.{os.getpid()}.partial").write_bytes(b"half")
    again = Results(tmp_path, CONDITIONS)
    again.add(_outcome("b"))
    assert [record["key"] for record in Results(tmp_path, CONDITIONS).records] == ["a", "b"]


def test_results_of_other_conditions_are_not_mixed_in(tmp_path: Path) -> None:
    Results(tmp_path, CONDITIONS).add(_outcome("a"))
    with pytest.raises(InvalidInput, match="take another --output"):
        Results(tmp_path, CONDITIONS | {"epochs": 2})


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_text("nothing")
    with pytest.raises(InvalidInput, match="not a table of results"):
        Results(tmp_path, CONDITIONS)


def test_a_run_that_ended_before_its_first_result_leaves_the_directory_to_any_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    Results(out, CONDITIONS)
    assert not out.exists()
    out.mkdir()
    (out / "conditions.json").write_text('{"data": "another"}')
    Results(out, CONDITIONS).add(_outcome("a"))
    assert Results(out, CONDITIONS).records == [_outcome("a").record]


def test_records_of_which_nothing_says_how_they_were_made_are_read_and_not_added_to(tmp_path: Path) -> None:
    first = Results(tmp_path, CONDITIONS)
    first.add(_outcome("a"))
    assert first.may_grow
    (tmp_path / "conditions.json").unlink()
    again = Results(tmp_path, CONDITIONS | {"data": "another"})
    assert again.records == first.records
    assert not again.may_grow


def test_conditions_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    Results(tmp_path, CONDITIONS).add(_outcome("a"))
    (tmp_path / "conditions.json").write_text("half of")
    with pytest.raises(InvalidInput, match=r"conditions\.json cannot be read"):
        Results(tmp_path, CONDITIONS)


@pytest.mark.parametrize("content", [None, b"", b"half of"])
def test_predictions_that_are_gone_are_one_line(tmp_path: Path, content: bytes | None) -> None:
    results = Results(tmp_path, CONDITIONS)
    results.add(_outcome("a"))
    file = tmp_path / "predictions" / "a.npy"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"a\.npy is gone or broken, .*: take another --output") as refusal:
        results.prediction("a")
    assert "\n" not in str(refusal.value)


def test_two_processes_may_write_one_file(tmp_path: Path) -> None:
    file, forked = tmp_path / "cache" / "vectors", get_context("fork")  # of its own imports one would start late
    both = [forked.Process(target=_replace_often, args=(file, letter * 100_000)) for letter in (b"a", b"b")]
    for process in both:
        process.start()
    for process in both:
        process.join(timeout=60)
    assert [process.exitcode for process in both] == [0, 0]
    assert file.read_bytes() in (b"a" * 100_000, b"b" * 100_000)
    assert list(file.parent.iterdir()) == [file]


def _replace_often(file: Path, content: bytes) -> None:
    for _ in range(200):
        replace_file(file, content)


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "other").touch()
    for place in (tmp_path / "file", tmp_path / "other" / "file"):
        with pytest.raises(InvalidInput, match=r"file cannot be written: .*; free space, or take another directory"):
            replace_file(place, b"content")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "other"]


def test_a_place_that_can_be_no_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for place in (tmp_path / "out", tmp_path / "out" / "below"):
        with (
            pytest.raises(InvalidInput, match=r"is not a usable results directory: .*; take another --output"),
            locked(place),
        ):
            pass
    assert (tmp_path / "out").read_text() == "mine"


def test_two_benchmarks_do_not_write_to_one_directory(tmp_path: Path) -> None:
    directory = tmp_path / "deep" / "out"
    with locked(directory):
        with pytest.raises(Conflict, match="another benchmark writes to"), locked(directory):
            pass
        Results(directory, CONDITIONS).add(_outcome("a"))
    with locked(directory):
        assert "a" in Results(directory, CONDITIONS)


def test_a_directory_to_which_nothing_was_written_is_gone_again(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput), locked(tmp_path / "out"):
        raise InvalidInput("no such data")
    assert not (tmp_path / "out").exists()
