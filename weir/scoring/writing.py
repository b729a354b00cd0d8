"""A Parquet file that is there whole or not at all: written beside its place under another name, and renamed."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from importance.errors import InvalidInput
from weir.local.process import runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_GROUP_ROWS = 1 << 16  # of a row group: 65,536 rows of a few numbers are about a megabyte


Take = Callable[[Sequence[str], "Mapping[str, NDArray[np.float64]]"], None]
"""Takes the next rows: their ids, and their scores [n] by column."""


@contextmanager
def writing(output: Path, columns: Sequence[str], model: str) -> Iterator[Take]:
    """Write ``id``, a column each, and ``model``; nothing is left of it when what happens inside fails."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = pa.schema([("id", pa.string()), *((name, pa.float64()) for name in columns), ("model", pa.string())])
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    held: list[pa.RecordBatch] = []

    def write(ids: Sequence[str], scores: "Mapping[str, NDArray[np.float64]]") -> None:
        named = pa.array([model]).take(pa.array([0] * len(ids)))
        held.append(pa.record_batch([pa.array(ids), *(scores[name] for name in columns), named], schema))
        if sum(map(len, held)) >= _GROUP_ROWS:
            with _written(output):
                table.write_table(pa.Table.from_batches(held, schema))
            held.clear()

    with _written(output):
        _forget_killed(output)
        partial.touch()
    try:
        with _written(output):
            table = parquet.ParquetWriter(partial, schema)
        try:
            yield write
            with _written(output):
                table.write_table(pa.Table.from_batches(held, schema))
                table.close()
                partial.replace(output)
        finally:
            with suppress(OSError):
                table.close()
    finally:
        partial.unlink(missing_ok=True)


def _forget_killed(output: Path) -> None:
    """Remove what processes left behind that were killed while they wrote."""
    for partial in output.parent.glob(f".{escape(output.name)}.*.partial"):
        owner = partial.name.split(".")[-2]
        if owner.isdecimal() and not runs(int(owner)):
            partial.unlink(missing_ok=True)


@contextmanager
def _written(output: Path) -> Iterator[None]:
    """Only around what writes: an error of what is scored is another one."""
    try:
        yield
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror or error}; name another place") from error
