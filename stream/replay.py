"""Send records to a topic at the pace of their event times, and continue where an earlier run stopped.

Each record carries a header: its number in the replay, and how many before it are certainly stored. So the progress of
a replay is in the topic itself and nowhere else. A batch is awaited before the next is sent; records that a killed
run's last batch had already stored are found by their numbers and skipped.

A record's Kafka timestamp is its event time: a topic that stamps, refuses or deletes by the wall clock is refused. A
backfill is sent at the wall clock instead, so that any topic keeps it, under the header by which no record is late.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, islice
from threading import Event
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource
from kafka.errors import KafkaError, KafkaTimeoutError

from importance.errors import InvalidInput, NotFound, Unavailable
from importance.messages import Record, heartbeat
from stream import clients
from stream.connecting import require_broker
from stream.connection import KafkaConnection
from stream.dead_letters import BACKFILL
from stream.reading import read_to

HEADER = "weir-replay"
BATCH_RECORDS = 500
TIMEOUT_SECONDS = 300.0  # the longest wait for a broker that restarts
_MARKER = re.compile(r"(.*):(\d{1,18}|end):(\d{1,18})", re.ASCII)
_POLL_SECONDS = 0.05  # between two calls of `Pace.hold`
_MIN_WAIT_SECONDS = 0.01  # shorter gaps are ignored, or each of them would end a batch


class Target(NamedTuple):
    """The target of a replay. ``name`` distinguishes replays into one topic: it should name data set and seed.

    ``backfill``: the records belong to a time that the topic may have passed, and none of them is late.
    """

    connection: KafkaConnection
    topic: str
    name: str
    backfill: bool = False


class Advance(NamedTuple):
    """How far a run is: ``position`` records of the replay are stored, ``sent`` of them by this run."""

    position: int
    sent: int
    time_ms: int
    records_per_second: float


class Replayed(NamedTuple):
    """How a run ended; ``finished`` when everything is stored, and followed by what closes the last window."""

    position: int
    sent: int
    finished: bool


@dataclass
class Pace:
    """When records may go. ``speed``: event-time seconds per second of the clock; None or 0: as fast as they go.

    ``hold`` is asked between batches: while it returns True nothing is sent, and the time is not made up for later.
    """

    speed: float | None = None
    hold: Callable[[], bool] = lambda: False
    stop: Event = field(default_factory=Event)
    clock: Callable[[], float] = time.monotonic
    _origin: tuple[float, int] | None = None

    def due_in_seconds(self, time_ms: int) -> float:
        """Return how long until a record of that event time may go; the first one asked about may go at once."""
        if not self.speed:
            return 0.0
        self._origin = self._origin or (self.clock(), time_ms)
        started, first_ms = self._origin
        return started + (time_ms - first_ms) / 1_000 / self.speed - self.clock()

    def wait_for(self, time_ms: int) -> None:
        """Wait until the record of that event time is due, or stop is set."""
        while (remaining := self.due_in_seconds(time_ms)) > 0 and not self.stop.wait(remaining):
            pass

    def wait_while_held(self) -> None:
        """Wait until nothing holds the replay, or stop is set."""
        started = self.clock()
        while self.hold() and not self.stop.wait(_POLL_SECONDS):
            pass
        if self._origin:
            self._origin = (self._origin[0] + self.clock() - started, self._origin[1])


def replay(
    records: Iterable[Record],
    target: Target,
    window_seconds: float,
    pace: Pace | None = None,
    progress: Callable[[Advance], None] = lambda _: None,
    wall_clock: Callable[[], float] = time.time,
) -> Replayed:
    """Send what is not stored yet, then one heartbeat per partition that closes the window of the last record.

    ``records`` must be the same at each run, from the first. When ``pace.stop`` is set, the batch is ended and no more.
    Raises InvalidInput or NotFound for an unfit topic, Unavailable after `TIMEOUT_SECONDS`; call again to continue.
    """
    remaining = iter(records)
    first = list(islice(remaining, 1))
    with _talking_to(target):
        partitions = _partitions(target)
        if first and not target.backfill:
            _check_topic(target, first[0].time_ms, wall_clock())
        stored = _stored(target, partitions)
        with _producer(target) as producer:
            run = _Run(producer, target, stored, len(partitions), pace or Pace(), progress, wall_clock)
            return run.all(chain(first, remaining), int(window_seconds * 1_000))


@dataclass
class _Stored:
    """What a topic holds of a replay: all before ``position``, ``beyond`` of those after, ends by partition."""

    position: int = 0
    beyond: set[int] = field(default_factory=set)
    ends: dict[int, int] = field(default_factory=dict)


class _Run:
    """One run: the batch that is on its way, and how many records before it are stored."""

    def __init__(
        self,
        producer: KafkaProducer,
        target: Target,
        stored: _Stored,
        partitions: int,
        pace: Pace,
        progress: Callable[[Advance], None],
        wall_clock: Callable[[], float],
    ) -> None:
        self._producer, self._target, self._stored, self._partitions = producer, target, stored, partitions
        self._pace, self._progress, self._wall_clock = pace, progress, wall_clock
        self._batch: list[Any] = []
        self._position, self._sent, self._latest_ms = stored.position, 0, 0
        self._started = pace.clock()

    def all(self, records: Iterable[Record], window_ms: int) -> Replayed:
        total = 0
        for record in records:
            is_stored = total < self._stored.position or total in self._stored.beyond
            if not (is_stored or self._is_ready(total, record.time_ms)) or self._pace.stop.is_set():
                break
            if not is_stored:
                partition = None if record.partition is None else record.partition % self._partitions
                self._send(record, partition, f"{self._target.name}:{total}:{self._position}")
            self._latest_ms = max(self._latest_ms, record.time_ms)
            total += 1
        if not self._flush(total) or self._pace.stop.is_set():
            return Replayed(self._position, self._sent, finished=False)
        return Replayed(total, self._sent, finished=total == 0 or self._close(total, window_ms))

    def _is_ready(self, number: int, time_ms: int) -> bool:
        """Let the pace decide when a record may go; False when the run was stopped instead."""
        is_early = self._pace.due_in_seconds(time_ms) > _MIN_WAIT_SECONDS
        if is_early or not self._batch or len(self._batch) >= BATCH_RECORDS:
            self._flush(number)
            self._pace.wait_while_held()
            self._pace.wait_for(time_ms)
        return not self._pace.stop.is_set()

    def _send(self, record: Record, partition: int | None, marker: str) -> None:
        headers, time_ms = [(HEADER, marker.encode())], record.time_ms
        if self._target.backfill:
            headers, time_ms = [*headers, (BACKFILL, b"1")], self._now_ms()
        sending = self._producer.send(
            self._target.topic,
            record.value,
            record.key,
            headers=headers,
            partition=partition,
            timestamp_ms=time_ms,
        )
        self._batch.append(sending)

    def _flush(self, number: int) -> bool:
        """Wait until the batch is stored, which makes ``number`` the position. False when stopped before it was."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while True:
            try:
                self._producer.flush(timeout=1.0)
                break
            except KafkaTimeoutError:
                if self._pace.stop.is_set():
                    return False
                if time.monotonic() > deadline:
                    raise
        for sending in self._batch:
            sending.get(timeout=0)
        self._sent += len(self._batch)
        self._batch.clear()
        self._position = max(number, self._position)
        rate = self._sent / max(self._pace.clock() - self._started, 1e-9)
        self._progress(Advance(self._position, self._sent, self._latest_ms, rate))
        return True

    def _close(self, total: int, window_ms: int) -> bool:
        """Return one heartbeat per partition, where an earlier run has not sent it.

        It lies a window past the last record and not a moment more: that closes its window, and makes nothing late of
        what a longer replay would add, save impressions of that very millisecond. That of a backfill lies at the wall
        clock at most: past it, a live topic's own impressions would have less time to come.
        """
        end_ms = self._latest_ms + window_ms
        if self._target.backfill:
            end_ms = min(end_ms, self._now_ms())
        for partition in range(self._partitions):
            if self._stored.ends.get(partition, -1) < total:
                self._send(heartbeat(end_ms), partition, f"{self._target.name}:end:{total}")
        ends = len(self._batch)
        is_stored = self._flush(total)
        self._sent -= ends if is_stored else 0
        return is_stored

    def _now_ms(self) -> int:
        return int(self._wall_clock() * 1_000)


def _partitions(target: Target) -> list[TopicPartition]:
    with closing(_consumer(target)) as consumer:
        numbers = consumer.partitions_for_topic(target.topic)
    if not numbers:
        raise NotFound(f"topic {target.topic} does not exist: create it with weir topics")
    return [TopicPartition(target.topic, number) for number in sorted(numbers)]


def _check_topic(target: Target, first_ms: int, now: float) -> None:
    """Refuse a topic that would not keep a record of that time as it is."""
    with closing(clients.admin_client(target.connection)) as admin:
        found = admin.describe_configs([ConfigResource("TOPIC", target.topic)], config_filter="all")
    config = {key: entry["value"] for key, entry in found["topic"][target.topic].items()}
    if config.get("message.timestamp.type", "CreateTime") != "CreateTime":
        raise InvalidInput(
            f"topic {target.topic} has message.timestamp.type={config['message.timestamp.type']}; a replay keeps event "
            "times: set it to CreateTime"
        )
    for key in ("retention.ms", "message.timestamp.before.max.ms"):
        bound_ms = int(config.get(key, -1))
        if 0 <= bound_ms < now * 1_000 - first_ms:
            day = datetime.fromtimestamp(first_ms / 1_000, UTC).date()
            raise InvalidInput(
                f"topic {target.topic} has {key}={bound_ms}, so it would not keep the replay's records of {day}: "
                f"set it to {-1 if key == 'retention.ms' else 2**63 - 1}"
            )


def _stored(target: Target, partitions: Sequence[TopicPartition]) -> _Stored:
    """Read the markers at the end of each partition; further back where others have written after the replay."""
    markers: list[tuple[int, str, int]] = []
    with closing(_consumer(target)) as consumer:
        consumer.assign(list(partitions))
        starts_of, ends = consumer.beginning_offsets(partitions), consumer.end_offsets(partitions)
        pending, span = set(partitions), 2 * BATCH_RECORDS
        while pending:
            starts = {tp: max(starts_of[tp], ends[tp] - span) for tp in pending}
            found = list(_read_markers(consumer, target.name, starts, ends))
            markers += found
            pending -= {TopicPartition(target.topic, partition) for partition, _, _ in found}
            pending -= {tp for tp, start in starts.items() if start == starts_of[tp]}
            span *= 8
    state = _Stored(position=max((before for _, _, before in markers), default=0))
    for partition, number, before in markers:
        if number == "end":
            state.ends[partition] = max(before, state.ends.get(partition, 0))
        elif int(number) >= state.position:
            state.beyond.add(int(number))
    return state


def _read_markers(
    consumer: KafkaConsumer, name: str, starts: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> Iterator[tuple[int, str, int]]:
    """Yield partition, number (or ``end``) and how many were stored before, of each record of this replay."""
    consumer.pause(*consumer.assignment())
    consumer.resume(*starts)
    for partition, start in starts.items():
        consumer.seek(partition, start)
    for record in read_to(consumer, {partition: ends[partition] for partition in starts}):
        written = dict(record.headers).get(HEADER) or b""
        marker = _MARKER.fullmatch(written.decode(errors="replace"))
        if marker is not None and marker[1] == name:
            yield record.partition, marker[2], int(marker[3])


def _consumer(target: Target) -> KafkaConsumer:
    return clients.consumer(target.connection)


@contextmanager
def _producer(target: Target) -> Iterator[KafkaProducer]:
    producer = clients.producer(
        target.connection,
        enable_idempotence=True,
        allow_auto_create_topics=False,
        linger_ms=20,
        batch_size=1 << 18,
        delivery_timeout_ms=int(TIMEOUT_SECONDS * 1_000),
    )
    try:
        yield producer
    finally:
        try:
            producer.close(timeout=1.0)
        except KafkaTimeoutError:  # it abandoned the batch, but its thread still sends it: the run has reported it
            producer._sender.force_close()
            producer.close(timeout=1.0)


@contextmanager
def _talking_to(target: Target) -> Iterator[None]:
    """Convert Kafka's errors to ours."""
    require_broker(target.connection)
    try:
        yield
    except KafkaError as error:
        reason = clients.cause(target.connection, error)
        raise Unavailable(
            f"Kafka at {target.connection} did not take the replay ({reason}): call again to continue"
        ) from error
