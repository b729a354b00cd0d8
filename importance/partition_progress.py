"""Progress of a partition: what is decided, and what need not be read again. Independent of events and samples."""

from collections import deque
from typing import Final

import msgspec

BEGINNING_OF_TIME_MS: Final = -(2**63)
"""The event time of a partition of which nothing was read; it fits the database's 64-bit integers."""


Ceiling = tuple[int, int]
"""From this offset on, event time may go as far as this, in milliseconds since the epoch."""


class Progress(msgspec.Struct, frozen=True):
    """Two offsets of a partition, each with the event time just before the record at it.

    ``next`` is the first offset that is not decided. After a restart reading starts at ``acknowledged``: what lies
    between the two fills the memory again, and has no other effect. ``read`` is the first offset that was never read:
    what lies below is counted already, and its dead letters are sent. ``ceilings`` are those by which it was read.
    """

    next: int
    event_time_ms: int
    acknowledged: int
    acknowledged_event_time_ms: int
    read: int = 0
    ceilings: tuple[Ceiling, ...] = ()

    @classmethod
    def beginning(cls, first_offset: int) -> "Progress":
        """Return the progress of a partition that was never read.

        >>> Progress.beginning(0).next
        0
        """
        return cls(first_offset, BEGINNING_OF_TIME_MS, first_offset, BEGINNING_OF_TIME_MS)


class _Chunk(msgspec.Struct, frozen=True, gc=False):
    end: int
    event_time_ms: int
    forgotten_ms: int


class Acknowledgements:
    """Which chunks need not be read again, oldest first.

    A chunk can go when all in it is decided and, at the first undecided record, what it would fill the memory with has
    no effect any more: its event time has passed ``forgotten_ms``, or it lies ``reach`` offsets behind.
    """

    def __init__(self, start: Progress, reach: int) -> None:
        self._reach = reach
        self._chunks: deque[_Chunk] = deque()
        self.offset = start.acknowledged
        self.event_time_ms = start.acknowledged_event_time_ms

    def add(self, end: int, event_time_ms: int, forgotten_ms: int) -> None:
        """Record a chunk that was read up to ``end`` and moved event time to ``event_time_ms``."""
        self._chunks.append(_Chunk(end, event_time_ms, forgotten_ms))

    def at(self, next_offset: int, event_time_ms: int) -> tuple[int, int]:
        """Acknowledge chunks when all before ``next_offset`` is decided; return the offset and event time there."""
        chunks = self._chunks
        while chunks and chunks[0].end <= next_offset:
            if chunks[0].forgotten_ms > event_time_ms and chunks[0].end + self._reach > next_offset:
                break
            chunk = chunks.popleft()
            self.offset, self.event_time_ms = chunk.end, chunk.event_time_ms
        return self.offset, self.event_time_ms
