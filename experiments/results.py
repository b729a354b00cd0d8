"""What a benchmark keeps: one Parquet of records, a row a cell, and the predictions of each beside it.

A cell is finished when its row is in the table. Both are written whole under another name and renamed, so that a
benchmark killed at any moment goes on where it stopped, and no half-written file is ever read.
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
def held(directory: Path) -> Iterator[None]:
    """Make ``directory`` and keep it for this process, until it ends in whatever way; a Conflict where another has it.

    Nothing is left of a directory that stayed empty. InvalidInput where no directory can be made.
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
    """The records in ``directory``, in the order in which they were added; whoever adds has it `held`.

    ``conditions`` are what must be the same in all of them; InvalidInput where the directory has records of others. The
    first record binds the directory to them: a benchmark that ends before it binds nobody. Records of an older version,
    of fewer conditions or none, are read; ``may_grow`` is false there.
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
        """All rows."""
        return list(self._records)

    def add(self, outcome: Outcome) -> None:
        """Keep a finished cell: predictions first, since the row says that all is there."""
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
        """P(label = 1) of the judged rows [n] in a finished cell; InvalidInput where they are gone."""
        file = self._prediction_file(key)
        try:
            return np.asarray(np.load(file), np.float64)
        except (OSError, ValueError, EOFError) as error:
            raise InvalidInput(f"{file} is gone or broken, and {TABLE} has its run: take another --output") from error

    def _prediction_file(self, key: str) -> Path:
        return self._directory / "predictions" / f"{key}.npy"


def replace_file(file: Path, content: bytes) -> None:
    """Write a file whole under another name, then rename it: it is the old one or the new one, never half of it.

    The name is this process's own, so that two may write one file. Makes the directory; InvalidInput where it cannot.
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
        raise InvalidInput(f"{file} cannot be written: {error.strerror}; make room, or take another place") from error


def _read_conditions(file: Path) -> dict[str, object]:
    """What the records of a directory were made under; empty where no file says it."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, object]) if file.exists() else {}
    except (OSError, msgspec.MsgspecError) as error:
        raise InvalidInput(f"{file} cannot be read ({error}): take another --output") from error


def read_records(table: Path) -> list[dict[str, Any]]:
    """The rows of a table of results."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return list(parquet.read_table(table).to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{table} is not a table of results ({error}): take another --output") from error
