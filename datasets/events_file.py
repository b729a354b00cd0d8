"""The events of a JSONL or Parquet file in order of event time, checked before the first of them is handed on.

They are sorted on disk, in a temporary database that is removed with its process: memory does not grow with the file.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec

from datasets.table_files import ROWS, Source, lines_of, opened, unreadable
from importance.errors import InvalidEvent, InvalidInput, Unavailable
from importance.events import Heartbeat, decode
from importance.fields import Fields
from importance.messages import Record

LONGEST_BYTES: Final = 1_000_000
"""An event with headers and a broker's own framing fits the 1 MiB that brokers take by default."""

_WHOLE: Final = 2**53  # to there, floating point holds every integer
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class EventsFile:
    """Sorted events; ``name`` is a hash of their content, the same for the same events in the same order."""

    name: str
    count: int
    _database: sqlite3.Connection

    def records(self) -> Iterator[Record]:
        """Yield the events by time; those of one time in the order of the file."""
        with _disk():
            for time_ms, key, value in self._database.execute("SELECT * FROM event ORDER BY time_ms, rowid"):
                yield Record(key, value, time_ms)


@contextmanager
def open_events(
    file: Path, fields: Fields | None, now_ms: int, progress: Callable[[int], None] = lambda _: None
) -> Iterator[EventsFile]:
    """Read all of ``file``; heartbeats are left out, since each belongs to a partition, which a file does not have.

    ``fields`` maps a shop's own messages. Raises :class:`InvalidInput` if anything in the file is not an event at the
    wall clock ``now_ms``, with the number of the first such line or row.
    """
    formats: dict[str, tuple[str, Callable[[Source], Iterator[tuple[int, bytes]]]]]
    formats = {".jsonl": ("line", lines_of), ".parquet": ("row", _rows)}
    if file.suffix.lower() not in formats:
        raise InvalidInput(f"{file} is of an unknown format; a file of events must end in {', '.join(formats)}")
    unit, read = formats[file.suffix.lower()]
    with closing(sqlite3.connect("")) as database, opened(file) as source:  # "": a file of its own, removed already
        checker = _Checker(file, unit, fields, now_ms)
        with _disk():
            database.execute("CREATE TABLE event (time_ms INTEGER, key BLOB, value BLOB)")
            database.executemany("INSERT INTO event VALUES (?, ?, ?)", checker.checked(read(source), progress))
        source.refuse_changed()
        checker.refuse_faults()
        yield EventsFile(checker.hash.hexdigest()[:32], checker.count, database)


class _Checker:
    """Lets events pass, and counts what is not one: a file is refused as a whole, so that it can be fixed at once."""

    def __init__(self, file: Path, unit: str, fields: Fields | None, now_ms: int) -> None:
        self._file, self._unit, self._fields, self._now_ms = file, unit, fields, now_ms
        self._first = ""
        self._faults = 0
        self.count = 0
        self.hash = sha256()

    def checked(
        self, values: Iterator[tuple[int, bytes]], progress: Callable[[int], None]
    ) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield time, key and value of each event."""
        for number, line in values:
            value = line.strip()
            try:
                event = self._event(value)
            except InvalidEvent as error:
                self._first = self._first or f"{self._unit} {number} is not an event ({error.reason}: {error})"
                self._faults += 1
                continue
            if isinstance(event, Heartbeat):
                continue
            key = event.subject.encode()
            self.hash.update(b"%d %d %d %b%b" % (event.time_ms, len(key), len(value), key, value))
            self.count += 1
            if self.count % ROWS == 0:
                progress(self.count)
            yield event.time_ms, key, value

    def _event(self, value: bytes) -> Any:
        if len(value) > LONGEST_BYTES:
            raise InvalidEvent("too_long", f"it has {len(value):,} bytes; a message may have {LONGEST_BYTES:,}")
        return decode(value, self._now_ms, self._fields)

    def refuse_faults(self) -> None:
        """Raise :class:`InvalidInput` if there is anything but events, or nothing at all."""
        if self._faults:
            others = f", nor are {self._faults - 1:,} others" if self._faults > 1 else ""
            raise InvalidInput(f"{self._file}, {self._first}{others}; nothing was sent: correct or remove them")
        if not self.count:
            raise InvalidInput(f"{self._file} has no events; nothing was sent")


def _rows(source: Source) -> Iterator[tuple[int, bytes]]:
    """Yield the rows as JSON objects, with their numbers."""
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(source.stream, pre_buffer=False).iter_batches(ROWS):
            for row in _in_microseconds(batch).to_pylist(maps_as_pydicts="strict"):
                number += 1
                yield number, _encode({name: _json(name, value) for name, value in row.items() if value is not None})
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise unreadable(source.file, f"Parquet of events after row {number}", error) from error


def _in_microseconds(batch: Any) -> Any:
    """Python has no nanoseconds."""
    import pyarrow as pa

    def cast(field: Any) -> Any:
        if pa.types.is_timestamp(field.type):
            return field.with_type(pa.timestamp("us", field.type.tz))
        return field

    return batch.cast(pa.schema([cast(field) for field in batch.schema]), safe=False)


def _json(name: str, value: object) -> object:
    """A value as an event has it: attributes may be a JSON text, and a column with gaps holds integers as floats."""
    if name == "attributes" and isinstance(value, str):
        return msgspec.Raw(value.encode())
    if isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE:
        return int(value)
    return value


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(f"events cannot be sorted on disk ({error}): free space, or set TMPDIR") from error
