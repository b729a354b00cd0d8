"""Chunks of a partition, and the tracker of their offsets: which may be committed, and how much is held undecoded.

Independent of Kafka's clients.
"""

from collections import deque
from collections.abc import Callable, Sequence

from aiokafka import ConsumerRecord
from faust.types import TP


class Chunk:
    """A contiguous slice of one partition, offsets ``first`` to ``end`` (exclusive), read in one generation.

    ``records`` are the raw records until :meth:`release` drops them; ``count`` remains. There may be none: transaction
    markers and what was aborted or compacted take offsets, too, and for them the next chunk may start past ``end``.
    ``start``: the position before it was read; from there to ``first`` no record is missing. It lies past the end of
    the chunk before only where the log lost what was in between.
    """

    __slots__ = ("_tracker", "acknowledged", "count", "end", "first", "records", "size_bytes", "start")

    def __init__(
        self, tracker: "OffsetTracker", first: int, end: int, records: Sequence[ConsumerRecord], size_bytes: int
    ) -> None:
        self._tracker = tracker
        self.start = tracker.end
        self.first = first
        self.end = end
        self.records = records
        self.count = len(records)
        self.size_bytes = size_bytes
        self.acknowledged = False

    @property
    def partition(self) -> int:
        """Return the partition's number."""
        return int(self._tracker.tp.partition)

    @property
    def generation(self) -> int:
        """Return the group generation in which it was read."""
        return self._tracker.generation

    @property
    def live(self) -> bool:
        """Return False once the partition was revoked or assigned again: work on this chunk no longer counts."""
        return self._tracker.live

    def release(self) -> None:
        """Drop the raw records: they are decoded. Frees capacity for the next fetch."""
        if self.records:
            self.records = ()
            self._tracker.on_release(self)

    def acknowledge(self) -> bool:
        """Mark all of it as durable. Return True when it counted; False for a repeat or a lost generation."""
        return self._tracker.acknowledge(self)


class OffsetTracker:
    """The chunks of one partition in one generation, delivered in order, acknowledged in any order.

    ``start`` is where reading starts, 0 where nothing was ever committed. ``committable`` is the end of the longest
    acknowledged prefix. ``undecoded_records`` and ``undecoded_bytes`` bound memory: a partition at its bound is not
    fetched.
    """

    __slots__ = (
        "_chunks",
        "_on_capacity",
        "committable",
        "committed",
        "end",
        "generation",
        "late_acknowledgements",
        "live",
        "tp",
        "undecoded_bytes",
        "undecoded_records",
    )

    def __init__(self, tp: TP, generation: int, start: int, on_capacity: Callable[[], None]) -> None:
        self.tp = tp
        self.generation = generation
        self.live = True
        self.committable = self.committed = self.end = start
        self.undecoded_records = self.undecoded_bytes = 0
        self.late_acknowledgements = 0  # those after the generation was lost
        self._chunks: deque[Chunk] = deque()
        self._on_capacity = on_capacity

    def add(self, first: int, end: int, records: Sequence[ConsumerRecord], size_bytes: int = 0) -> Chunk:
        """Deliver the next chunk."""
        chunk = Chunk(self, first, end, records, size_bytes)
        self._chunks.append(chunk)
        self.undecoded_records += chunk.count
        self.undecoded_bytes += chunk.size_bytes
        self.end = end
        return chunk

    def skip_to(self, offset: int) -> None:
        """Continue at ``offset``, unless past it: the log no longer holds what lies before."""
        self.end = max(self.end, offset)

    def on_release(self, chunk: Chunk) -> None:
        """Count a chunk's records as decoded."""
        self.undecoded_records -= chunk.count
        self.undecoded_bytes -= chunk.size_bytes
        self._on_capacity()

    def acknowledge(self, chunk: Chunk) -> bool:
        """Mark a chunk as durable and move ``committable`` over the acknowledged prefix."""
        if not self.live:
            self.late_acknowledgements += 1
            return False
        if chunk.acknowledged:
            return False
        chunk.acknowledged = True
        while self._chunks and self._chunks[0].acknowledged:
            self.committable = self._chunks.popleft().end
        return True

    def drop(self) -> None:
        """End the tracker after its partition was revoked: later acknowledgements are only counted."""
        self.live = False
        self._chunks.clear()

    @property
    def pending(self) -> bool:
        """Return whether there is an offset to commit."""
        return self.committable != self.committed
