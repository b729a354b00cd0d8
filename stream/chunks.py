"""A fetch of one partition is one Faust message, a chunk; a tracker counts whole chunks, exactly.

Stock Faust makes an object, an event and an acknowledgement of every record, and its tracker sorts offsets one by one.
Here each fetch becomes a single message whose value is a :class:`~stream.offset_tracker.Chunk`. What may be committed
to Kafka is the end of the longest prefix of acknowledged chunks, whatever the order of acknowledgements.

Only subclasses, no patches: ``ChunkThread`` fetches in the driver's own thread and event loop, ``ChunkConsumer`` keeps
the trackers on the application's loop, ``ChunkTransport`` and ``ChunkApp`` make Faust use them. Topics must be made
with ``acks=False``: then Faust's own tracker of single offsets is never touched.

Does not decode records.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import faust
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from faust.events import Event
from faust.transport.consumer import ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from mode import Service

from importance.errors import Unavailable
from stream.clients import READ_COMMITTED
from stream.offset_tracker import OffsetTracker

_POLL_SECONDS = 1.0  # far below any sensible broker_max_poll_interval
# Of a poll first, and then at once: what was drained predicts how many more fit, and where sizes jump it is wrong.
_FIRST_RECORDS, _SLICE_RECORDS = 16, 256
_ANSWER_SECONDS = 5.0
_REVOKE_COMMIT_SECONDS = 2.0  # a rebalance must not wait for an unavailable broker


@dataclass
class Fetched:
    """What one poll brought of a partition: records, and the offsets from and up to which it read.

    Transaction markers and what was aborted or compacted are read, but are not records. ``start`` is None where
    the poll started in another generation, or at no offset.
    """

    records: list[ConsumerRecord] = field(default_factory=list)
    size_bytes: int = 0
    start: int | None = None
    end: int = 0


def size_of(records: Iterable[ConsumerRecord]) -> int:
    """Return bytes of keys, values and headers."""
    size = 0
    for record in records:
        size += record.serialized_key_size + record.serialized_value_size
        if record.headers:
            size += sum(len(name) + len(value or b"") for name, value in record.headers)
    return size


class ChunkThread(driver.AIOKafkaConsumerThread):
    """The driver's thread: runs aiokafka's consumer on an event loop of its own."""

    _record_bytes = 1 << 20  # the mean size of the last poll's records; at the start they may be large

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust has no setting for it outside its own transactions; aiokafka reads it when the consumer starts.
        consumer._isolation_level = READ_COMMITTED
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> tuple[int, Mapping[TP, Fetched]]:
        """Drain what was fetched, until ``poll_bytes`` are reached: aiokafka inflates and counts records one by one."""
        limit, budget = max_records or _FIRST_RECORDS, self.consumer.poll_bytes
        generation_before, starts = consumer._coordinator.generation, _next_offsets(consumer, active_partitions)
        fetched: dict[TP, Fetched] = {}
        count = size_bytes = 0
        wanted = min(_FIRST_RECORDS, max(1, budget // self._record_bytes), limit)
        while wanted > 0:
            try:
                found = await super()._fetch_records(consumer, active_partitions, timeout, wanted)
            except KafkaError:
                if not fetched:
                    raise
                break  # the next fetch meets it again
            for tp, records in found.items():
                entry = fetched.setdefault(tp, Fetched())
                size = size_of(records)
                entry.records += records
                entry.size_bytes += size
                entry.end = records[-1].offset + 1
                count += len(records)
                size_bytes += size
            # Behind a rebalance, draining would wait, and bring records of another generation.
            if not found or size_bytes >= budget or consumer._subscription.reassignment_in_progress:
                break
            self._record_bytes = max(1, size_bytes // count)
            wanted = min(_SLICE_RECORDS, limit - count, max(1, (budget - size_bytes) // self._record_bytes))
            timeout = 0  # what lies ready, without waiting
        # Nothing was awaited since the first records were drained, so the generation is the one they belong to.
        generation = consumer._coordinator.generation
        for tp, end in _next_offsets(consumer, active_partitions).items():
            start = starts.get(tp) if generation == generation_before else None
            if tp in fetched or start not in (None, end):
                entry = fetched.setdefault(tp, Fetched())
                entry.start, entry.end = start, end
        return generation, fetched

    def touch(self) -> None:
        """Mark the consumer as polled (max.poll.interval), without fetching."""
        self.thread_loop.call_soon_threadsafe(self._touch)

    def _touch(self) -> None:
        if self._consumer is not None:
            with self._consumer._subscription.fetch_context():
                pass

    async def positions(self, timeout_seconds: float) -> dict[int, tuple[int, int]]:
        """Ask the broker for the end of each assigned partition: partition → (next offset to read, end).

        Raises :class:`Unavailable` when no answer comes in time. Bypasses the driver's method queue, whose two
        workers may both be waiting for the broker.
        """
        future = asyncio.run_coroutine_threadsafe(self._positions(timeout_seconds), self.thread_loop)
        return await asyncio.wrap_future(future)

    async def _positions(self, timeout_seconds: float) -> dict[int, tuple[int, int]]:
        consumer = self._consumer
        assigned = consumer.assignment() if consumer is not None else frozenset()
        if not assigned:
            return {}
        try:
            ends = await asyncio.wait_for(consumer.end_offsets(assigned), timeout_seconds)
        except (KafkaError, TimeoutError) as error:
            raise _no_answer(timeout_seconds, error) from error
        return {tp.partition: (at, ends[tp]) for tp, at in _next_offsets(consumer, ends).items()}

    async def log_start(self, tp: TP, timeout_seconds: float) -> int:
        """Ask the broker for the first offset that the partition's log has; raises :class:`Unavailable`."""
        future = asyncio.run_coroutine_threadsafe(self._log_start(tp, timeout_seconds), self.thread_loop)
        return await asyncio.wrap_future(future)

    async def _log_start(self, tp: TP, timeout_seconds: float) -> int:
        try:
            starts = await asyncio.wait_for(self._consumer.beginning_offsets([tp]), timeout_seconds)
        except (KafkaError, TimeoutError) as error:
            raise _no_answer(timeout_seconds, error) from error
        return int(starts[tp])


def _next_offsets(consumer: Any, tps: Iterable[TopicPartition]) -> dict[Any, int]:
    """Return the offset to be read next, of those assigned partitions that have one."""
    assignment = consumer._subscription.subscription.assignment
    states = {tp: assignment.state_value(tp) for tp in tps} if assignment is not None else {}
    return {tp: state.position for tp, state in states.items() if state is not None and state.has_valid_position}


def _no_answer(timeout_seconds: float, error: Exception) -> Unavailable:
    return Unavailable(f"Kafka does not answer within {timeout_seconds:g} s ({type(error).__name__})")


class ChunkConsumer(driver.Consumer):
    """Fetches chunks and commits by the trackers."""

    trackers: dict[TP, OffsetTracker]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.trackers = {}
        self.stale_fetches = 0
        self._dropped: set[TP] = set()  # partitions of stale fetches, whose positions are too far ahead
        self.holes = 0
        self._max_undecoded_records: int = self.app.max_undecoded_records
        self._max_fetched_bytes: int = self.app.max_fetched_bytes
        self._capacity_freed = asyncio.Event()

    def _new_consumer_thread(self) -> ChunkThread:
        return ChunkThread(self, loop=self.loop, beacon=self.beacon)

    @Service.task  # type: ignore[untyped-decorator]  # mode publishes no types
    async def _poll_alive(self) -> None:
        # While every partition is at its bound, or the flow is stopped, getmany is not called. After
        # broker_max_poll_interval aiokafka would leave the group and Faust never join again: alive, without partitions.
        while not self.should_stop:
            await self.sleep(_POLL_SECONDS)
            if not self.should_stop:
                self._thread.touch()

    async def positions(self, timeout_seconds: float) -> dict[int, tuple[int, int]]:
        """Return partition → (next offset to read, end), by a fresh answer of the broker."""
        found: dict[int, tuple[int, int]] = await self._thread.positions(timeout_seconds)
        return found

    # -- fetching

    @property
    def poll_bytes(self) -> int:
        """Return the bytes that a partition may hold before a fetch, and that a fetch may add: half its share each."""
        return max(1, self._max_fetched_bytes // (2 * max(1, len(self.trackers))))

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Fetch once and yield a message, holding a chunk, for each partition that had records."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        await self._ask_again()
        wanted = {tp for tp in self._get_active_partitions() if self._has_capacity(tp)}
        if not wanted:  # an empty set would mean all partitions to aiokafka
            self._capacity_freed.clear()
            await self.wait_first(self._capacity_freed.wait(), timeout=min(timeout, _POLL_SECONDS))
            return
        generation, fetched = await self._thread.getmany(wanted, timeout)
        if self.should_stop:
            return
        for tp, found in fetched.items():
            tracker = self.trackers.get(tp)
            current = self.flow_active and generation == self.app.consumer_generation_id
            if tracker is None or tracker.generation != generation or not current:
                self.stale_fetches += 1  # a rebalance came between the fetch and here, or is under way
                self._dropped.add(tp)
                continue
            first = tracker.end
            if await self._follows(tracker, found):
                yield tp, self._message(tracker, first, found)

    async def _ask_again(self) -> None:
        """Reset positions to the ends of the trackers, if records there were dropped."""
        positions = {tp: self.trackers[tp].end for tp in self._dropped if tp in self.trackers}
        self._dropped.clear()
        if positions:
            await self._thread.seek_wait(positions)

    def _has_capacity(self, tp: TP) -> bool:
        tracker = self.trackers.get(tp)
        return (
            tracker is not None
            and tracker.undecoded_records < self._max_undecoded_records
            and tracker.undecoded_bytes < self.poll_bytes
        )

    async def _follows(self, tracker: OffsetTracker, found: Fetched) -> bool:
        """Compare what was read with what was delivered, and drop repeats. False: nothing new, or to be refetched."""
        if found.end <= tracker.end:
            return False
        if found.records and found.records[0].offset < tracker.end:  # fetched again within the generation
            found.records = [record for record in found.records if record.offset >= tracker.end]
        first = found.records[0].offset if found.records else found.end
        if first == tracker.end:
            return True
        try:
            log_start = await self._thread.log_start(tracker.tp, _ANSWER_SECONDS)
        except Unavailable as error:
            self.log.warning("no answer to where the log of %r starts: %s", tracker.tp, error)
        else:
            tracker.skip_to(min(log_start, first))
            if found.start is not None and found.start <= tracker.end:
                return True  # compaction and transaction markers: all of it was read, and nothing was there
            self.holes += 1
        await self._thread.seek_wait({tracker.tp: tracker.end})
        return False

    def _message(self, tracker: OffsetTracker, first: int, found: Fetched) -> ConsumerMessage:
        """Return a message of one chunk; without records it starts at ``first``."""
        records = found.records
        chunk = tracker.add(records[0].offset if records else first, found.end, records, found.size_bytes)
        self.app.monitor.track_tp_end_offset(tracker.tp, self.highwater(tracker.tp))
        return ConsumerMessage(
            tracker.tp.topic,
            tracker.tp.partition,
            found.end - 1,
            (records[-1].timestamp or 0) / 1000.0 if records else 0.0,
            records[-1].timestamp_type if records else None,
            None,  # headers
            None,  # key
            chunk,
            None,  # checksum
            0,
            found.size_bytes,
            tracker.tp,
            generation_id=tracker.generation,
        )

    # -- acknowledging and committing: Faust's own tracker of offsets is replaced, step by step

    def ack(self, message: Any) -> bool:
        """Acknowledge by Faust's message; the same as ``chunk.acknowledge()``."""
        message.acked = True
        counted: bool = message.value.acknowledge()
        return counted

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Ignore gaps: a chunk covers its offsets whole."""

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> list[TP]:
        chosen = self.trackers.items()
        return [tp for tp, tracker in chosen if tracker.pending and (not topics or tp in topics or tp.topic in topics)]

    def _new_offset(self, tp: TP) -> int | None:
        tracker = self.trackers.get(tp)
        return tracker.committable if tracker else None

    def _should_commit(self, tp: TP, offset: int) -> bool:
        tracker = self.trackers.get(tp)
        return tracker is not None and offset > tracker.committed

    async def _commit_offsets(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        before = {tp: self.trackers.get(tp) for tp in offsets}
        done: bool = await super()._commit_offsets(offsets, start_new_transaction)
        for tp, tracker in before.items() if done else ():
            if tracker is not None and tracker.live:
                tracker.committed = offsets[tp]
        return done

    # -- rebalances: aiokafka's are eager, so every partition is revoked and read again from its committed offset

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Commit what is acknowledged while the generation is still ours, then forget the partitions."""
        try:
            await asyncio.wait_for(self.commit(), _REVOKE_COMMIT_SECONDS)
        except (KafkaError, TimeoutError) as error:
            self.log.warning("no commit before the partitions were revoked: %r", error)
        self._drop(revoked)
        await super().on_partitions_revoked(revoked)  # sends the signal app.on_partitions_revoked

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Start a generation with empty trackers."""
        self._drop(list(self.trackers))
        await super().on_partitions_assigned(assigned, generation_id)

    def _drop(self, tps: Iterable[TP]) -> None:
        for tp in tps:
            tracker = self.trackers.pop(ensure_TP(tp), None)
            if tracker is not None:
                tracker.drop()

    async def perform_seek(self) -> None:
        """Open the trackers where reading starts; Faust calls it after an assignment, before the flow resumes."""
        generation = self.app.consumer_generation_id
        committed: Mapping[TopicPartition, int | None] = await self.seek_to_committed()
        stored = await self.app.beginnings()
        for aiokafka_tp, offset in committed.items():
            tp = ensure_TP(aiokafka_tp)
            start = (offset or 0) if stored is None else stored.get(tp.partition, 0)
            self._read_offset[tp] = self._committed_offset[tp] = start or None
            tracker = self.trackers.get(tp)
            if tracker is None or tracker.generation != generation:
                self.trackers[tp] = OffsetTracker(tp, generation, start, self._capacity_freed.set)
        # Also those that seem to be there already; within a generation no position moves before what was delivered.
        await self._thread.seek_wait({tp: tracker.end for tp, tracker in self.trackers.items()})


class ChunkTransport(driver.Transport):
    """Faust's aiokafka transport, consuming by chunks."""

    Consumer = ChunkConsumer


class ChunkSchema(faust.Schema):
    """Passes a chunk through undecoded: a message that cannot be read must not end the agent."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Event]]:
        """Return the function that Faust calls for each message."""

        async def pass_through(message: Any, **_: Any) -> Event:
            return Event(app, None, message.value, None, message)

        return pass_through


async def _as_committed() -> Mapping[int, int] | None:
    return None


class ChunkApp(faust.App):
    """A Faust application over the chunk transport.

    ``beginnings`` gives partition → the offset to start at, 0 for one that is missing; or None: where the group
    committed. It is awaited at each assignment.
    """

    max_undecoded_records: int = 20_000  # a partition; about 600 bytes each
    max_fetched_bytes: int = 64 * 2**20  # all partitions
    beginnings: Callable[[], Awaitable[Mapping[int, int] | None]] = staticmethod(_as_committed)

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)
