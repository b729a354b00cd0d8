"""Rows of a Parquet, CSV or JSONL file, a few at a time: memory does not grow with the file.

Does not validate rows; columns that are not requested are not read.
"""

import codecs
import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from math import isnan
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO

import msgspec

from importance.errors import InvalidInput

ROWS = 512
"""Rows in memory at once: with texts as long as they may be, a few megabytes."""

LONGEST_BYTES = 1 << 20
"""The longest value of a column of Parquet, and the longest line of JSON; of CSV, the longest line in characters, and
a field has 131,072 at most, which is the csv module's own limit.
"""

NUL: Final = "\0"
HOLDS_NUL: Final = "holds U+0000, which no text may: take it out"
"""As in the events: Postgres has no text with it."""

_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}

Raw = Mapping[str, Sequence[object]]
"""Columns of some rows as they were read, by name, and all of one length."""


def is_missing(value: object) -> bool:
    """Return whether a value is none, empty or NaN.

    >>> [is_missing(value) for value in (None, "", float("nan"), 0, "0")]
    [True, True, True, False, False]
    """
    return value is None or value == "" or (isinstance(value, float) and isnan(value))


def label_of(value: object) -> int | None:
    """Return 0 or 1, as a number, a text or a boolean; None where it is neither.

    >>> label_of(1.0), label_of("False"), label_of("maybe")
    (1, 0, None)
    """
    return _LABELS.get(str(value).lower())


class Source:
    """An open file, and what it was when it was opened."""

    def __init__(self, file: Path, stream: io.BufferedReader, delimiter: str = ",") -> None:
        self.file = file
        self.delimiter = delimiter
        self.stream = stream
        self._text: TextIO | None = None
        self._before = _state(os.fstat(stream.fileno()))
        if not self._before.st_size:
            raise InvalidInput(f"{file} is empty; it must have rows")
        if stream.peek(2)[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise InvalidInput(f"{file} starts with the byte order mark of UTF-16; it must be UTF-8: save it so")

    @property
    def text(self) -> TextIO:
        """Return the stream as UTF-8; kept, because the stream would end with it."""
        self._text = self._text or io.TextIOWrapper(self.stream, encoding="utf-8-sig", newline="")
        return self._text

    def refuse_changed(self) -> None:
        """Refuse the file if it is another one, or longer, shorter or newer than it was."""
        try:
            changed = _state(self.file.stat()) != self._before
        except OSError:
            changed = True
        if changed:
            raise InvalidInput(f"{self.file} changed while it was read: wait until it is written, and run again")


@contextmanager
def opened(file: Path, delimiter: str | None = None) -> Iterator[Source]:
    """Open the file; refuse a missing or empty one. An apparent error may only be a half-written file.

    ``delimiter`` is what separates the fields of a CSV, by default a comma; no other file may have one.
    """
    if delimiter is not None and file.suffix.lower() != ".csv":
        raise InvalidInput(f"--delimiter is for a .csv file, and {file} is none: leave it out")
    try:
        stream = file.open("rb")
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}; name a Parquet, CSV or JSONL file") from error
    with stream:
        source = Source(file, stream, delimiter or ",")
        try:
            yield source
        except InvalidInput:
            source.refuse_changed()
            raise


def columns_of(source: Source, wanted: Sequence[str]) -> tuple[list[str], Iterator[Raw]]:
    """Return the names of all columns, and the wanted ones, `ROWS` rows at a time."""
    formats = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    read = formats.get(source.file.suffix.lower())
    if read is None:
        raise InvalidInput(f"{source.file} is of no known format; its name must end in {', '.join(formats)}")
    return read(source, wanted)


def _parquet(source: Source, wanted: Sequence[str]) -> tuple[list[str], Iterator[Raw]]:
    import pyarrow as pa
    from pyarrow import parquet

    file, errors = source.file, (pa.ArrowException, OSError)
    try:
        table = parquet.ParquetFile(source.stream, pre_buffer=False, buffer_size=1 << 20)
    except errors as error:
        raise unreadable(file, "Parquet", error) from error
    names = list(table.schema_arrow.names)
    _refuse_twice(file, names, wanted)

    def rows() -> Iterator[Raw]:
        done = 0
        try:
            for batch in table.iter_batches(ROWS, columns=[name for name in wanted if name in names]):
                columns = dict(zip(batch.schema.names, batch.columns, strict=True))
                for name, column in columns.items():
                    _refuse_long(file, name, column, done)
                yield {name: _values(file, name, column, done) for name, column in columns.items()}
                done += len(batch)
        except errors as error:
            raise unreadable(file, "Parquet", error) from error

    return names, rows()


def _csv(source: Source, wanted: Sequence[str]) -> tuple[list[str], Iterator[Raw]]:
    file, lines = source.file, csv.reader(_lines(source), strict=True, delimiter=source.delimiter)

    def read() -> Iterator[list[str]]:
        try:
            yield from lines
        except csv.Error as error:
            raise InvalidInput(f"{file}, line {lines.line_num}: {_one_line(error)}; correct it") from error
        except OSError as error:
            raise unreadable(file, "CSV", error) from error

    every = read()
    names = next(every, [])
    _refuse_twice(file, names, wanted)

    def rows() -> Iterator[Raw]:
        positions = {name: names.index(name) for name in wanted if name in names}
        while batch := list(islice(filter(None, every), ROWS)):
            for row in batch:
                if len(row) != len(names):
                    raise InvalidInput(
                        f"{file}, up to line {lines.line_num}: a row has {len(row)} fields; it must have "
                        f"{len(names)}, as the header has"
                    )
            yield {name: [row[position] for row in batch] for name, position in positions.items()}

    return names, rows()


def _lines(source: Source) -> Iterator[str]:
    """Yield the lines with their ends, none of which is read further than a line may be long."""
    for number in range(1, 1 << 62):
        try:
            line = source.text.readline(LONGEST_BYTES + 1)
        except UnicodeDecodeError as error:  # the text is decoded some lines ahead
            raise InvalidInput(
                f"{source.file}, line {number} or a little after it, is not UTF-8: save it so"
            ) from error
        if not line:
            return
        if len(line) > LONGEST_BYTES:
            raise InvalidInput(
                f"{source.file}, line {number}: it is longer than {LONGEST_BYTES:,} characters: cut its texts"
            )
        yield line


def lines_of(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers; refuses one that is too long."""
    for number in range(1, 1 << 62):
        try:
            line = source.stream.readline(LONGEST_BYTES + 1)
        except OSError as error:
            raise unreadable(source.file, "JSONL", error) from error
        if not line:
            return
        if len(line) > LONGEST_BYTES:
            raise InvalidInput(
                f"{source.file}, line {number}: it is longer than {LONGEST_BYTES:,} bytes: cut its texts"
            )
        if line.strip():
            yield number, line


def _jsonl(source: Source, wanted: Sequence[str]) -> tuple[list[str], Iterator[Raw]]:
    file, decode = source.file, msgspec.json.Decoder(dict[str, object]).decode

    def read() -> Iterator[dict[str, object]]:
        for number, line in lines_of(source):
            try:
                yield decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise InvalidInput(f"{file}, line {number}: {_one_line(error)}; it must be a JSON object") from error

    every = read()
    first = next(every, None)
    names = list(first or ())

    def rows() -> Iterator[Raw]:
        rest = chain([] if first is None else [first], every)
        while batch := list(islice(rest, ROWS)):
            yield {name: [row.get(name) for row in batch] for name in wanted}

    return names, rows()


class _State(NamedTuple):
    st_dev: int
    st_ino: int
    st_size: int
    st_mtime_ns: int


def _state(found: os.stat_result) -> _State:
    return _State(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _refuse_twice(file: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if names.count(name) > 1:
            raise InvalidInput(f"{file} has {names.count(name)} columns {name!r}: rename all but one")


def _refuse_long(file: Path, name: str, column: Any, done: int) -> None:
    """Refuse a value that would fill the memory as Python's own; ``done`` rows came before the column's."""
    import pyarrow as pa

    flat = column.storage if isinstance(column, pa.ExtensionArray) else column
    if pa.types.is_nested(flat.type):
        raise InvalidInput(f"{file}: {name} holds {flat.type}; it must hold texts, numbers or booleans: take them out")
    lengths = _lengths(flat)
    for row, length in enumerate([] if lengths is None else lengths.to_pylist(), done + 1):
        if length is not None and length > LONGEST_BYTES:
            raise InvalidInput(f"{file}, row {row}: {name} is longer than {LONGEST_BYTES:,} bytes: cut it")


def _lengths(column: Any) -> Any:
    """Return an array of the bytes of each value; None where the type guarantees that all are short."""
    import pyarrow as pa
    from pyarrow import compute, types

    kind = column.type
    if types.is_dictionary(kind):
        lengths = _lengths(column.dictionary)
        return None if lengths is None else lengths.take(column.indices)
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return compute.binary_length(column.cast(pa.large_binary()))  # a view itself cannot be asked
    binary = types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    return compute.binary_length(column) if binary or types.is_string(kind) or types.is_large_string(kind) else None


def _values(file: Path, name: str, column: Any, done: int) -> list[object]:
    """Return the column as Python's own; refuses text that is not UTF-8, and times that Python has not."""
    import pyarrow as pa

    values: list[object] = []
    scalars = iter(column)
    if pa.types.is_timestamp(column.type):  # with pandas installed, pyarrow returns a pandas object for nanoseconds
        microseconds = pa.timestamp("us", column.type.tz)
        scalars = (value.cast(microseconds) for value in column)
    try:
        values.extend(value.as_py() for value in scalars)
    except (ValueError, OverflowError, LookupError) as error:
        raise InvalidInput(
            f"{file}, row {done + len(values) + 1}: {name} cannot be read as {column.type}: write the column as UTF-8 "
            "texts or as numbers"
        ) from error
    return values


def unreadable(file: Path, kind: str, error: Exception) -> InvalidInput:
    """Return the error of a file that is not of its kind, or cannot be read to its end."""
    why = "it is damaged, cut off or of another kind: write it again"
    return InvalidInput(f"{file} cannot be read as {kind}; {why} ({_one_line(error)})")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
