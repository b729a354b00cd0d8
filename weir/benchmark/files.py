"""Columns of a Parquet, CSV or JSONL file, read whole; everything wrong with it is one line of `InvalidInput`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from importance.errors import InvalidInput

FORMATS = (".parquet", ".csv", ".jsonl")
_BLOCK_BYTES = 64 << 20  # no row may be longer; a text that is too long is to be named, not the block


def read_columns(file: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, list[Any]]:
    """The needed columns and those of the optional ones that exist; raises InvalidInput for an empty file, a missing
    column, an unknown format, and for a file that changes while it is read.
    """
    if not file.is_file():
        raise InvalidInput(f"there is no file {file}: name a {', '.join(FORMATS)} file, or a known data set")
    before = file.stat()
    if not before.st_size:
        raise InvalidInput(f"{file} is empty; it must have a header and rows")
    table = _table(file)
    after = file.stat()
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise InvalidInput(f"{file} changed while it was read: wait until it is written, and run again")
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise InvalidInput(f"{file} has no column {missing[0]!r}; it has {', '.join(table.column_names)}")
    if not table.num_rows:
        raise InvalidInput(f"{file} has no rows")
    kept = [*needed, *(name for name in optional if name in table.column_names)]
    return {name: table.column(name).to_pylist() for name in kept}


def _table(file: Path) -> Any:
    import pyarrow as pa
    from pyarrow import csv, json, parquet

    if file.suffix not in FORMATS:
        raise InvalidInput(f"{file} is of no known format; it must end in {', '.join(FORMATS)}")
    try:
        if file.suffix == ".csv":
            return csv.read_csv(file, csv.ReadOptions(block_size=_BLOCK_BYTES))
        if file.suffix == ".jsonl":
            return json.read_json(file, json.ReadOptions(block_size=_BLOCK_BYTES))
        return parquet.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{file} cannot be read: {' '.join(str(error).split())[:200]}") from error
