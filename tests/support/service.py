"""The whole service but its trainer: tables, topics, a first model, and workers that a supervisor keeps up.

All of it is the product's own; the settings make it small and quick enough for a test.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import UUID

from kafka import KafkaProducer

from importance.attribution import Record as Received
from importance.errors import Unavailable
from storage import migrate
from storage.artifacts import Artifacts
from storage.audit import Via
from storage.engine import Engine, create_engine
from storage.progress import Position, Progresses
from storage.registry import Registry
from stream.connection import KafkaConnection
from stream.topics import end_offsets, provision, topic_id
from tests.support.shop import FIELDS
from tests.support.topic import records
from tests.support.traffic import Record, heartbeat
from tests.support.waiting import TIMEOUT_SECONDS, until
from tests.support.worker import WorkerProcess
from weir.cli.topics import named_topics, planned_topics
from weir.learning.first_version import make_first
from weir.local.supervisor import Restarts, Supervisor
from weir.operations import Operations
from weir.settings import Settings, variable

WINDOW_MS = 60_000

QUICK: dict[str, object] = {
    "estimator": "uniform",
    "buffer_capacity": 400,
    "attribution_window_seconds": WINDOW_MS / 1000,
    "idle_seconds": 3600,
    "partitions": 2,
    "retry_limit_seconds": 1,
    "fields": FIELDS,
}


class Service:
    """Everything under names of its own, on given servers. ``model`` is a folder that ``WEIR_MODEL`` may name."""

    def __init__(self, kafka: str, database_url: str, home: Path, model: Path) -> None:
        name = f"e2e-{secrets.token_hex(4)}"
        addresses = {"home": home, "kafka_bootstrap": kafka, "database_url": database_url, "model": str(model)}
        self.settings = Settings(**QUICK, **addresses, topic_prefix=f"{name}-", consumer_group=name)
        self.environment = os.environ | {
            variable(field): "" if value is None else str(value) for field, value in self.settings
        }
        self.kafka, self.connection, self.home = kafka, KafkaConnection(kafka), home
        self.topics = named_topics(self.settings)
        self.topic = self.topics.interactions
        self.engine: Engine = create_engine(database_url)
        self.workers: list[WorkerProcess] = []
        self.said: list[str] = []
        self._supervisor = Supervisor(self.said.append, Restarts(first_seconds=0.1, longest_seconds=1, limit=1_000))
        self._prepare()
        self.topic_id: UUID = topic_id(self.connection, self.topic)

    def _prepare(self) -> None:
        """Tables, topics, and a first model that stays the only one."""
        migrate.upgrade(self.engine)
        future = {"message.timestamp.after.max.ms": str(2**63 - 1)}  # the broker takes records of any future
        plans = planned_topics(self.settings)
        provision(self.connection, [replace(plan, config={**plan.config, **future}) for plan in plans])
        registry = Registry(self.engine)
        operations = Operations(self.engine, Artifacts(self.settings.artifacts_url), self.said.append, Via.CLI)
        make_first(self.settings, registry, operations, None, lambda *_: None)
        registry.freeze(actor="test", reason="nothing is to be trained here")

    def weir(self, *words: str) -> str:
        """Run a command; its standard output."""
        command = [sys.executable, "-m", "weir", *words]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> WorkerProcess:
        """Start one more worker; from now on the supervisor starts it again whenever it dies."""
        worker = WorkerProcess(f"worker-{len(self.workers)}", self.home, self.environment)
        self._supervisor.start_role(worker)
        self.workers.append(worker)
        return worker

    def end(self, worker: WorkerProcess) -> int:
        """Ask a worker to end; its exit status."""
        self.workers.remove(worker)
        return self._supervisor.end_role(worker)

    def close(self) -> None:
        """End every process."""
        self._supervisor.stop()
        self.engine.dispose()

    def send(self, messages: Iterable[Record]) -> None:
        """Put messages into the topic, all durable on return."""
        producer = KafkaProducer(bootstrap_servers=self.kafka, acks="all", linger_ms=20)
        sent = [producer.send(self.topic, value, key, timestamp_ms=at) for key, value, at in messages]
        for future in sent:
            future.get(timeout=30)
        producer.close()

    def beat(self, time_ms: int) -> None:
        """Let event time of every partition run to ``time_ms``."""
        producer = KafkaProducer(bootstrap_servers=self.kafka, acks="all")
        for partition in end_offsets(self.connection, self.topic):
            producer.send(self.topic, heartbeat(time_ms), partition=partition, timestamp_ms=time_ms).get(timeout=30)
        producer.close()

    def read(self, topic: str) -> dict[int, list[Received]]:
        """A topic's content by partition: offset, timestamp, value."""
        content: dict[int, list[Received]] = {number: [] for number in end_offsets(self.connection, topic)}
        for record in records(self.kafka, topic):
            content[record.partition].append((record.offset, record.timestamp, record.value))
        return content

    def positions(self) -> list[Position]:
        """The progress rows."""
        return Progresses(self.engine, self.topic_id).positions()

    @property
    def next(self) -> dict[int, int]:
        """The first offset of each partition that is not decided; empty while the database does not answer."""
        with suppress(Unavailable):
            return {at.partition: at.progress.next for at in self.positions() if at.progress and at.progress.next}
        return {}

    def decided(self) -> int:
        """Offsets that are decided, over all partitions."""
        return sum(self.next.values())

    def until_decided(self, offsets: Mapping[int, int]) -> None:
        """Wait until these are the first offsets that are not decided, by partition."""
        self.until(f"{offsets}", lambda: self.next == offsets)

    def until(self, what: str, ready: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> None:
        """Wait for a state of another process; fail with the last lines of the workers' logs."""

        def state() -> tuple[object, ...]:
            logs = {worker.name: (worker.status, worker.log_tail(3)) for worker in self.workers}
            return self.next, logs, self.said[-5:]

        until(what, ready, seconds, state)
