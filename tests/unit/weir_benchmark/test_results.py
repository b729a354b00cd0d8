from pathlib import Path

import numpy as np
import pytest

from importance.errors import Conflict, InvalidInput
from weir.benchmark.results import TABLE, Results, held
from weir.benchmark.trial import Outcome

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
    (tmp_path / f"{TABLE}.partial").write_bytes(b"PAR1 half of it")
    (tmp_path / "predictions" / "b.npy.partial").write_bytes(b"half")
    again = Results(tmp_path, CONDITIONS)
    again.add(_outcome("b"))
    assert [record["key"] for record in Results(tmp_path, CONDITIONS).records] == ["a", "b"]


def test_results_of_other_conditions_are_not_mixed_in(tmp_path: Path) -> None:
    Results(tmp_path, CONDITIONS).add(_outcome("a"))
    with pytest.raises(InvalidInput, match="take another --output"):
        Results(tmp_path, CONDITIONS | {"epochs": 2})


def test_a_table_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_text("nothing")
    with pytest.raises(InvalidInput, match="no table of results"):
        Results(tmp_path, CONDITIONS)


def test_a_run_that_ended_before_its_first_result_leaves_the_folder_to_any_other(tmp_path: Path) -> None:
    out = tmp_path / "out"
    Results(out, CONDITIONS)
    assert not out.exists()
    out.mkdir()
    (out / "conditions.json").write_text('{"data": "another"}')
    Results(out, CONDITIONS).add(_outcome("a"))
    assert Results(out, CONDITIONS).records == [_outcome("a").record]


def test_two_benchmarks_do_not_write_to_one_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    with held(folder):
        with pytest.raises(Conflict, match="another benchmark writes to"), held(folder):
            pass
        Results(folder, CONDITIONS).add(_outcome("a"))
    with held(folder):
        assert "a" in Results(folder, CONDITIONS)


def test_a_folder_to_which_nothing_was_written_is_gone_again(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput), held(tmp_path / "out"):
        raise InvalidInput("no such data")
    assert not (tmp_path / "out").exists()
