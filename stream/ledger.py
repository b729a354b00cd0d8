"""Chunks of a partition, and the ledger that counts them: what may be committed, and how much is held undecoded.

Knows nothing of Kafka's clients.
"""

from collections import deque
from collections.abc import Callable, Sequence

from aiokafka import ConsumerRecord
from faust.types import TP


class Chunk:
    """A contiguous slice of one partition, offsets ``first`` to ``end`` (exclusive), read in one generation.

    ``records`` are the raw records until :meth:`release` drops them; ``count`` remains. There may be none: transaction
    markers and what was aborted or compacted take offsets, too, and for them the next chunk may begin past ``end``.
    ``start``: where reading stood; from there to ``first`` no record is missing. It lies past the end of the chunk
    before only where the log lost what was in between.
    """

    __slots__ = ("_ledger", "acknowledged", "count", "end", "first", "records", "size_bytes", "start")

    def __init__(
        self, ledger: "Ledger", first: int, end: int, records: Sequence[ConsumerRecord], size_bytes: int
    ) -> None:
        self._ledger = ledger
        self.start = ledger.end
        self.first = first
        self.end = end
        self.records = records
        self.count = len(records)
        self.size_bytes = size_bytes
        self.acknowledged = False

    @property
    def partition(self) -> int:
        """The partition's number."""
        return int(self._ledger.tp.partition)

    @property
    def generation(self) -> int:
        """The group generation in which it was read."""
        return self._ledger.generation

    @property
    def live(self) -> bool:
        """False once the partition was revoked or assigned anew: nothing done with this chunk counts any more."""
        return self._ledger.live

    def release(self) -> None:
        """Drop the raw records: they are decoded. Makes room for the next fetch."""
        if self.records:
            self.records = ()
            self._ledger.on_release(self)

    def acknowledge(self) -> bool:
        """Say that all of it is durable. True when it counted; False for a repeat or a lost generation."""
        return self._ledger.acknowledge(self)


class Ledger:
    """The chunks of one partition in one generation, delivered in order, acknowledged in any order.

    ``start`` is where reading begins, 0 where nothing was ever committed. ``committable`` is the end of the longest
    acknowledged prefix. ``undecoded_records`` and ``undecoded_bytes`` bound memory: a partition at its bound is not
    fetched.
    """

    __slots__ = (
        "_chunks",
        "_on_room",
        "committable",
        "committed",
        "end",
        "generation",
        "late",
        "live",
        "tp",
        "undecoded_bytes",
        "undecoded_records",
    )

    def __init__(self, tp: TP, generation: int, start: int, on_room: Callable[[], None]) -> None:
        self.tp = tp
        self.generation = generation
        self.live = True
        self.committable = self.committed = self.end = start
        self.undecoded_records = self.undecoded_bytes = 0
        self.late = 0  # acknowledgements that came after the generation was lost
        self._chunks: deque[Chunk] = deque()
        self._on_room = on_room

    def add(self, first: int, end: int, records: Sequence[ConsumerRecord], size_bytes: int = 0) -> Chunk:
        """Deliver the next chunk."""
        chunk = Chunk(self, first, end, records, size_bytes)
        self._chunks.append(chunk)
        self.undecoded_records += chunk.count
        self.undecoded_bytes += chunk.size_bytes
        self.end = end
        return chunk

    def skip_to(self, offset: int) -> None:
        """What lies before ``offset`` is not in the log any more; reading stands there, unless it is past it."""
        self.end = max(self.end, offset)

    def on_release(self, chunk: Chunk) -> None:
        """Count a chunk's records as decoded."""
        self.undecoded_records -= chunk.count
        self.undecoded_bytes -= chunk.size_bytes
        self._on_room()

    def acknowledge(self, chunk: Chunk) -> bool:
        """Mark a chunk as durable and move ``committable`` over the acknowledged prefix."""
        if not self.live:
            self.late += 1
            return False
        if chunk.acknowledged:
            return False
        chunk.acknowledged = True
        while self._chunks and self._chunks[0].acknowledged:
            self.committable = self._chunks.popleft().end
        return True

    def drop(self) -> None:
        """The partition was revoked: acknowledgements that still come count for nothing."""
        self.live = False
        self._chunks.clear()

    @property
    def pending(self) -> bool:
        """Whether there is an offset to commit."""
        return self.committable != self.committed
