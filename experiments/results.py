"""The stored results of a benchmark: one Parquet table with a row for each cell, and a file of predictions for each.

A cell is finished when its row is in the table. Both are written under a temporary name and renamed, so that a
benchmark killed at any moment resumes where it stopped, and no half-written file is ever read.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from experiments.trial import Outcome
from importance.errors import Conflict, InvalidInput

TABLE = "results.parquet"
CONDITIONS = "conditions.json"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Create ``directory`` and lock it for this process; raise Conflict when another process has locked it.

    The lock ends with the block or the process. A directory that stayed empty is removed. Raises InvalidInput when the
    directory cannot be created.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise InvalidInput(
            f"{directory} is not a usable results directory: {error.strerror}; take another --output"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(f"another benchmark writes to {directory}: wait for it, or take another --output") from None
        yield
    finally:
        os.close(descriptor)
        with suppress(OSError):
            directory.rmdir()


class Results:
    """The records in ``directory``, in the order in which they were added. To add records, hold it `locked`.

    ``conditions`` must be the same for all of them; InvalidInput when the directory has records under other ones. They
    are stored with the first record. Records of an older version, with fewer conditions or none, can be read;
    ``may_grow`` is false for them.
    """

    def __init__(self, directory: Path, conditions: dict[str, object]) -> None:
        self._directory, self._conditions = directory, conditions
        self._records = read_records(directory / TABLE) if (directory / TABLE).exists() else []
        before = _read_conditions(directory / CONDITIONS) if self._records else conditions
        self.may_grow = before.keys() == conditions.keys()
        if not before.items() <= conditions.items():
            raise InvalidInput(
                f"{directory} has results under {before}, and now it is {conditions}: take another --output"
            )

    def __contains__(self, key: str) -> bool:
        return any(record["key"] == key for record in self._records)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return all rows."""
        return list(self._records)

    def add(self, outcome: Outcome) -> None:
        """Store a finished cell: predictions first, since its row marks the cell as complete."""
        import pyarrow as pa
        from pyarrow import parquet

        key = str(outcome.record["key"])
        predictions = self._prediction_file(key)
        if not self._records:
            replace_file(self._directory / CONDITIONS, msgspec.json.encode(self._conditions))
        content = BytesIO()
        np.save(content, outcome.prediction.astype(np.float32))
        replace_file(predictions, content.getvalue())
        self._records.append(outcome.record)
        content = BytesIO()
        parquet.write_table(pa.Table.from_pylist(self._records), content)
        replace_file(self._directory / TABLE, content.getvalue())

    def prediction(self, key: str) -> NDArray[np.float64]:
        """Return P(label = 1) [n] of a finished cell's evaluated rows; raise InvalidInput when the file is missing."""
        file = self._prediction_file(key)
        try:
            return np.asarray(np.load(file), np.float64)
        except (OSError, ValueError, EOFError) as error:
            raise InvalidInput(f"{file} is gone or broken, and {TABLE} has its run: take another --output") from error

    def _prediction_file(self, key: str) -> Path:
        return self._directory / "predictions" / f"{key}.npy"


def replace_file(file: Path, content: bytes) -> None:
    """Write a file atomically: under a temporary name, then rename it.

    The temporary name has this process's id, so that two processes may write one file. Creates the directory; raises
    InvalidInput when the file cannot be written.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"{file} cannot be written: {error.strerror}; free space, or take another directory"
        ) from error


def _read_conditions(file: Path) -> dict[str, object]:
    """Read the conditions of a directory's records; empty without the file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, object]) if file.exists() else {}
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidInput(f"{file} cannot be read ({error}): take another --output") from error


def read_records(table: Path) -> list[dict[str, Any]]:
    """Read the rows of a table of results."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return list(parquet.read_table(table).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{table} is not a table of results ({error}): take another --output") from error
