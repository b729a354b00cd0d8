"""The file of scores, and whose error is whose."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets.table_writer import writing as writing_table
from importance.errors import InvalidInput
from weir.scoring.writing import writing


def test_rows_are_written_in_their_order(tmp_path: Path) -> None:
    with writing(tmp_path / "out.parquet", ["loss"], "m1") as write:
        write(["a", "b"], {"loss": np.array([0.5, 1.5])})
        write(["c"], {"loss": np.array([2.5])})
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table.to_pydict() == {"id": ["a", "b", "c"], "loss": [0.5, 1.5, 2.5], "model": ["m1"] * 3}


def _write(output: Path, then: Callable[[], None]) -> None:
    """One row, and what happens before the next one."""
    with writing(output, ["loss"], "m1") as write:
        write(["a"], {"loss": np.array([0.5])})
        then()


def test_what_fails_while_rows_are_scored_is_no_error_of_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="weights"):
        _write(tmp_path / "out.parquet", (tmp_path / "weights").unlink)
    assert not list(tmp_path.iterdir())


def test_what_fails_first_is_what_is_raised_whatever_rows_are_held(tmp_path: Path) -> None:
    schema = pa.schema([("id", pa.string())])

    def fail() -> None:
        with writing_table(tmp_path / "out.parquet", schema) as take:
            take(pa.record_batch({"other": [1]}))  # held, and not to be written any more
            raise RuntimeError("the first error")

    with pytest.raises(RuntimeError, match="the first error"):
        fail()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_gone_or_was_never_there_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "folder" / "out.parquet"
    line = r"out\.parquet cannot be written: No such file or directory; name another path"
    with pytest.raises(InvalidInput, match=line):
        _write(out, out.parent.mkdir)
    out.parent.mkdir()
    with pytest.raises(InvalidInput, match=line):
        _write(out, partial(shutil.rmtree, out.parent))


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_not(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left, other = tmp_path / f".out.parquet.{ended.pid}.partial", tmp_path / f".out.parquet.{os.getppid()}.partial"
    for file in (left, other):
        file.touch()
    with writing(tmp_path / "out.parquet", ["loss"], "m1") as write:
        write(["a"], {"loss": np.array([0.5])})
    assert sorted(file.name for file in tmp_path.iterdir()) == [other.name, "out.parquet"]
