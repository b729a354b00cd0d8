"""A worker on a real broker, with a store in memory that keeps the promises the database makes."""

import asyncio
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from importance.attribution import Policy, Progress
from importance.errors import Fenced, Unavailable
from importance.flush import Flush
from importance.sample import Sample, label
from importance.scores import Offer, Scores
from stream import topics
from stream.app import StreamSettings, Worker
from stream.connection import KafkaConnection
from stream.partition_worker import Effects, Limits
from stream.reports import Failed, Report
from stream.topics import Topics
from tests.support.waiting import TIMEOUT_SECONDS, eventually

# Event time never passes Kafka's own, so what happens lies an hour back and what closes its window in between.
SHOWN_MS = int(time.time() * 1000) - 3_600_000
CLOSED_MS = SHOWN_MS + 15_000
FORGOTTEN_MS = SHOWN_MS + 60_000  # past the window and the horizon of all that came before
POLICY = Policy(window_ms=10_000, deduplication_ms=10_000)


def impression(number: int, time_ms: int, subject: str = "ann") -> bytes:
    """An impression with the id ``view-<number>``."""
    event = {"id": f"view-{number}", "type": "impression", "time": time_ms, "subject": subject, "surface": "search"}
    return json.dumps({**event, "query": "lamp", "item": f"i{number}", "text": "a lamp"}).encode()


def click(number: int, time_ms: int, subject: str = "ann") -> bytes:
    """A click on ``view-<number>``."""
    event = {"id": f"click-{number}", "type": "click", "time": time_ms, "subject": subject}
    return json.dumps({**event, "impression": f"view-{number}"}).encode()


def heartbeat(time_ms: int) -> bytes:
    return json.dumps({"type": "heartbeat", "time": time_ms}).encode()


class Store:
    """Epochs, compare-and-set of `next`, and what was remembered: shared by workers, and outliving them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.epochs: dict[int, int] = {}
        self.generations: dict[int, int] = {}
        self.progress: dict[int, Progress] = {}
        self.samples: dict[int, list[Sample]] = {}
        self.scored: Counter[str] = Counter()
        self.claims: list[tuple[int, int]] = []
        self.unavailable = threading.Event()
        self.unclear_commits = 0
        self.calls = 0

    def claim(self, partition: int, generation: int) -> tuple[int, Progress | None]:
        self._answer()
        with self.lock:
            if self.generations.get(partition, -1) > generation:
                raise Fenced(f"partition {partition} was claimed in a later generation than {generation}")
            self.generations[partition] = generation
            self.epochs[partition] = self.epochs.get(partition, 0) + 1
            self.claims.append((partition, generation))
            return self.epochs[partition], self.progress.get(partition)

    def persist(self, flush: Flush) -> None:
        self._answer()
        with self.lock:
            before = self.progress.get(flush.partition)
            at = before.next if before else flush.old_next
            if self.epochs[flush.partition] != flush.epoch or at not in (flush.old_next, flush.progress.next):
                raise Fenced(f"partition {flush.partition} stands at {at} in epoch {self.epochs[flush.partition]}")
            if at == flush.old_next:
                self.progress[flush.partition] = flush.progress
                self.samples.setdefault(flush.partition, []).extend(offer.sample for offer in flush.offers)
            if self.unclear_commits:
                self.unclear_commits -= 1
                raise Unavailable("the connection was lost during COMMIT")

    def score(self, samples: Sequence[Sample]) -> Scores:
        with self.lock:
            self.scored.update(sample.id for sample in samples)
        return Scores.uniform(len(samples))

    def _answer(self) -> None:
        self.calls += 1
        if self.unavailable.is_set():
            raise Unavailable("the store does not answer")

    @property
    def decided(self) -> int:
        with self.lock:
            return sum(map(len, self.samples.values()))

    def next(self, partition: int = 0) -> int:
        """The first offset that is not decided."""
        with self.lock:
            progress = self.progress.get(partition)
        return progress.next if progress else 0

    def ids(self, partition: int = 0) -> list[str]:
        with self.lock:
            return [sample.id for sample in self.samples.get(partition, [])]


def admit(samples: Sequence[Sample], scores: Scores) -> list[Offer]:
    """Everything is kept."""
    return [
        Offer(
            sample=sample,
            label=label(sample.actions),
            importance=float(value),
            estimator=scores.estimator,
            model=scores.model,
            prediction=None,
            stratum="uniform",
            log_weight=0.0,
            key=0.0,
            probability=1.0,
            kept=True,
            threshold_epoch=0,
        )
        for sample, value in zip(samples, scores.importance, strict=True)
    ]


@dataclass
class Sandbox:
    """Topics and a group of a test's own."""

    bootstrap: str
    topics: Topics
    group: str
    folder: Path
    partitions: int

    @property
    def connection(self) -> KafkaConnection:
        """The broker, as our own functions want it."""
        return KafkaConnection(self.bootstrap)

    def settings(self, **changes: object) -> StreamSettings:
        """A worker's settings, quick enough for a test."""
        settings = StreamSettings(
            connection=self.connection,
            group=self.group,
            data_dir=self.folder,
            topics=self.topics,
            commit_interval_seconds=0.2,
            session_timeout_seconds=6.0,
            request_timeout_seconds=10.0,
            idle_seconds=3_600.0,
            grace_seconds=20.0,
        )
        return replace(settings, **changes)

    def send(
        self,
        values: Iterable[bytes | None],
        partition: int = 0,
        keys: Iterable[bytes | None] | None = None,
        headers: list[tuple[str, bytes | None]] | None = None,
        compression_type: str | None = None,
    ) -> None:
        """Put values into a partition of the interactions topic, all durable on return."""
        values = list(values)
        keys = list(keys) if keys is not None else [b"ann"] * len(values)
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            linger_ms=20,
            max_request_size=128 << 20,
            compression_type=compression_type,
        )
        futures = [
            producer.send(self.topics.interactions, value, key, headers=headers, partition=partition)
            for key, value in zip(keys, values, strict=True)
        ]
        for future in futures:
            future.get(timeout=30)
        producer.close()

    def committed(self) -> dict[int, int]:
        """What the group committed, read back from the broker."""
        return topics.committed_offsets(self.connection, self.group, self.topics.interactions)

    def read(self, topic: str) -> list:
        """All records of a topic, partition by partition, as they are now."""
        ends = topics.end_offsets(self.connection, topic)
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        partitions = [TopicPartition(topic, number) for number in sorted(ends)]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        records: dict[TopicPartition, list] = {partition: [] for partition in partitions}
        while any(consumer.position(partition) < ends[partition.partition] for partition in partitions):
            for partition, found in consumer.poll(timeout_ms=1000).items():
                records[partition] += found
        consumer.close()
        return [record for partition in partitions for record in records[partition]]


def make_sandbox(bootstrap: str, folder: Path, partitions: int = 1, create: bool = True) -> Sandbox:
    """Topics and a group that nobody else uses; ``folder`` is Faust's."""
    mark = secrets.token_hex(4)
    names = Topics(f"interactions-{mark}", f"dead-{mark}", f"importance-{mark}", f"models-{mark}")
    if create:
        topics.provision(KafkaConnection(bootstrap), topics.planned(names, partitions, 1))
    return Sandbox(bootstrap, names, f"weir-{mark}", folder, partitions)


class Running:
    """A worker that runs in this process; ``reports`` is all it said."""

    def __init__(self, sandbox: Sandbox, store: Store, limits: Limits | None = None, **changes: object) -> None:
        self.reports: list[Report] = []
        self.store = store
        effects = Effects(
            claim=store.claim,
            score=store.score,
            admit=admit,
            tally=lambda samples, scores: {},
            persist=store.persist,
            report=self.reports.append,
        )
        effects = replace(effects, **{name: changes.pop(name) for name in list(changes) if hasattr(effects, name)})
        policy = changes.pop("policy", POLICY)
        self.worker = Worker(sandbox.settings(**changes), policy, effects, limits)
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(self.worker.run(self.stop))

    def of(self, kind: type) -> list:
        return [report for report in self.reports if isinstance(report, kind)]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something in the outer world, of which no event tells, while the worker works."""

        def holds() -> bool:
            held = condition()
            assert held or not self.task.done(), f"the worker ended: {self.of(Failed)}"
            return held

        await eventually("what the test waits for", holds, state=lambda: self.reports[-5:])

    async def end(self) -> int:
        self.stop.set()
        return await asyncio.wait_for(self.task, TIMEOUT_SECONDS)


@asynccontextmanager
async def running(
    sandbox: Sandbox, store: Store, limits: Limits | None = None, gate: threading.Event | None = None, **changes: object
) -> AsyncIterator[Running]:
    """A worker for the length of a block; ``gate`` is opened at its end, whatever became of the test."""
    worker = Running(sandbox, store, limits, **changes)
    try:
        yield worker
    finally:
        if gate is not None:
            gate.set()
        if not worker.task.done():
            await worker.end()
