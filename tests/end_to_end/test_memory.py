"""Memory of a worker follows bytes: thousands of large events on one partition, while Postgres is gone for a while."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterable
from threading import Event, Thread
from typing import Self

import psutil
import pytest
from confluent_kafka import Producer

from stream import dead_letters
from tests.conftest import TestPostgres
from tests.support.comparison import published_scores
from tests.support.service import WINDOW_MS, Service
from tests.support.traffic import START_MS, Record, impression
from tests.support.worker import WorkerProcess

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3_600)]

EVENTS = 5_000
PADDING_BYTES = 900_000
STEP_MS = 500
GONE_SECONDS = 60
_MEGABYTE = 1 << 20


class Meter(Thread):
    """Looks at a process's resident memory ten times a second for the length of a ``with`` block."""

    def __init__(self, process: WorkerProcess) -> None:
        super().__init__(name="memory", daemon=True)
        self._process = psutil.Process(process.pid)
        self._ended = Event()
        self.largest = self.now

    @property
    def now(self) -> float:
        """Megabytes."""
        return float(self._process.memory_info().rss / _MEGABYTE)

    def run(self) -> None:
        while not self._ended.wait(0.1):
            self.largest = max(self.largest, self.now)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


def large(number: int) -> Record:
    """An impression that no codec makes small: a field of no meaning pads it."""
    rng, at = random.Random(number), START_MS + number * STEP_MS
    event = impression(f"large-{number}", at, "one", rng) | {"padding": rng.randbytes(PADDING_BYTES // 2).hex()}
    return Record(b"one", json.dumps(event).encode(), at)


def send(service: Service, records: Iterable[Record]) -> None:
    """Put records into partition 0; kafka-python's checksums in Python take .13 s of CPU for each."""
    producer = Producer({"bootstrap.servers": service.kafka})
    for key, value, at in records:
        producer.produce(service.topic, value, key, 0, timestamp=at)
        producer.flush()


def test_events_of_900_kb_are_all_decided_in_bounded_memory_though_postgres_was_gone(
    mortal: Service, own_postgres: TestPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = mortal.start()
    mortal.until("partitions", lambda: worker.partitions == {0, 1})
    with Meter(worker) as memory:
        before = memory.now
        own_postgres.kill()
        send(mortal, map(large, range(EVENTS // 2)))
        time.sleep(GONE_SECONDS)
        while_gone = memory.largest
        own_postgres.start()
        send(mortal, map(large, range(EVENTS // 2, EVENTS)))
        mortal.beat(START_MS + EVENTS * STEP_MS + 3 * WINDOW_MS)
        mortal.until("all decisions", lambda: mortal.decided() == EVENTS + 2, seconds=1_800)
        after = memory.now
    assert mortal.said == []  # the worker never ended
    published = Counter(each.sample for each in published_scores(mortal))
    assert set(published) == {f"large-{number}" for number in range(EVENTS)}
    assert sum(position.samples for position in mortal.positions()) == EVENTS  # each stored once
    assert list(dead_letters.read(mortal.connection, mortal.topics.dead)) == []
    with capsys.disabled():
        print(
            f"\n{EVENTS} events of {PADDING_BYTES:,} bytes on one partition; resident memory of the worker: "
            f"{before:.0f} MB before, at most {while_gone:.0f} MB while Postgres was gone, at most "
            f"{memory.largest:.0f} MB in all, {after:.0f} MB when all was decided; WEIR_MAX_FETCHED_BYTES is "
            f"{mortal.settings.max_fetched_bytes:,}"
        )
    assert memory.largest < before + 4 * mortal.settings.max_fetched_bytes / _MEGABYTE
