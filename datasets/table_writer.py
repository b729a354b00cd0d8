"""A table that is there whole or not at all: written next to its path under another name, and renamed.

The name's suffix is the format: Parquet, CSV or JSONL. Memory does not grow with the table.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import psutil

from importance.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

_GROUP_ROWS = 1 << 16  # of a row group: 65,536 rows of a few numbers are about a megabyte
_GROUP_BYTES = 1 << 24  # of rows with long texts

Take = Callable[["pa.RecordBatch"], None]
"""Takes the next rows."""

Open = Callable[[Path, "pa.Schema"], AbstractContextManager[Take]]


@contextmanager
def writing(output: Path, schema: "pa.Schema") -> Iterator[Take]:
    """Write rows of ``schema`` to ``output``; nothing is left of it when what happens inside fails."""
    open_format = _format_of(output)
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    with _written(output):
        _forget_killed(output)
        partial.touch()
    try:
        with _written(output):
            opened = open_format(partial, schema)
            take = opened.__enter__()
        try:
            yield lambda batch: _take(take, batch, output)
        except BaseException as error:
            with suppress(Exception):  # the first error is the one to report
                opened.__exit__(type(error), error, error.__traceback__)
            raise
        with _written(output):
            opened.__exit__(None, None, None)
            partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)


def check_output(output: Path) -> Path:
    """Return the final path of ``output``, links resolved. Refuses what could not be written."""
    if output.is_dir():
        raise InvalidInput(f"{output} cannot be written: it is a directory; name a file in it")
    path = output.resolve()
    if not path.parent.is_dir():
        raise InvalidInput(f"{output} cannot be written: directory {path.parent} does not exist; create it")
    if path.exists() and not path.is_file():
        raise InvalidInput(f"{output} cannot be written: it is not a regular file; name one")
    _format_of(output)
    return path


def _format_of(output: Path) -> Open:
    found = _FORMATS.get(output.suffix.lower())
    if found is None:
        raise InvalidInput(f"{output} is of no known format; its name must end in {', '.join(_FORMATS)}")
    return found


def _take(take: Take, batch: "pa.RecordBatch", output: Path) -> None:
    with _written(output):
        take(batch)


@contextmanager
def _parquet(file: Path, schema: "pa.Schema") -> Iterator[Take]:
    import pyarrow as pa
    from pyarrow import parquet

    held: list[pa.RecordBatch] = []

    def flush() -> None:
        table.write_table(pa.Table.from_batches(held, schema))
        held.clear()

    def take(batch: pa.RecordBatch) -> None:
        held.append(batch)
        if sum(map(len, held)) >= _GROUP_ROWS or sum(each.nbytes for each in held) >= _GROUP_BYTES:
            flush()

    with parquet.ParquetWriter(file, schema) as table:
        yield take
        flush()


@contextmanager
def _csv(file: Path, schema: "pa.Schema") -> Iterator[Take]:
    from pyarrow import csv

    with csv.CSVWriter(file, schema) as table:
        yield table.write_batch


@contextmanager
def _jsonl(file: Path, _schema: "pa.Schema") -> Iterator[Take]:
    encoder = msgspec.json.Encoder()
    with file.open("wb") as lines:

        def take(batch: "pa.RecordBatch") -> None:
            lines.writelines(encoder.encode(row) + b"\n" for row in batch.to_pylist())

        yield take


_FORMATS: dict[str, Open] = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}


def _forget_killed(output: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    for partial in output.parent.glob(f".{escape(output.name)}.*.partial"):
        owner = partial.name.split(".")[-2]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            partial.unlink(missing_ok=True)


@contextmanager
def _written(output: Path) -> Iterator[None]:
    """Convert errors of writing; for use around writing only."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror or error}; name another path") from error
