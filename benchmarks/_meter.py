"""Measure CPU time and memory of one process while it reads a number of events."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import psutil

from stream.connection import KafkaConnection
from stream.topics import Topics

_MEGABYTE = 1 << 20


class Task(msgspec.Struct, frozen=True):
    """The events to read: ``events`` after ``warm_up``; memory is recorded every ``snapshot_every`` events."""

    contestant: str
    kafka: KafkaConnection
    topics: Topics
    group: str
    warm_up: int
    events: int
    database_url: str = ""
    snapshot_every: int = 0


class Snapshot(msgspec.Struct, frozen=True):
    """The process after ``events`` events; CPU time is user and system, of all its threads."""

    events: int
    cpu_seconds: float
    memory_megabytes: float


class Measured(msgspec.Struct, frozen=True):
    """The events read after the warm-up, and their CPU seconds, in all and by step."""

    events: int
    cpu_seconds: float
    snapshots: list[Snapshot]
    steps: dict[str, float] = {}

    @property
    def rate(self) -> float:
        """Events per CPU-second."""
        return self.events / self.cpu_seconds

    def microseconds(self, seconds: float) -> float:
        """Return the CPU time of one event in microseconds."""
        return seconds / self.events * 1e6


class Meter:
    """Counts events; sets ``measured`` and ``done`` when those of the task are read."""

    def __init__(self, task: Task) -> None:
        self.done = asyncio.Event()
        self.measured: Measured | None = None
        self._task = task
        self._process = psutil.Process()
        self._events = 0
        self._warm: Snapshot | None = None
        self._snapshots: list[Snapshot] = []
        self._steps: dict[str, float] = {}

    def count(self, events: int) -> None:
        """Count events that were read."""
        before, self._events = self._events, self._events + events
        task = self._task
        if task.snapshot_every and self._events // task.snapshot_every > before // task.snapshot_every:
            self._snapshots.append(self._snapshot())
        if self._warm is None:
            self._warm = self._snapshot() if self._events >= task.warm_up else None
        elif self.measured is None and self._events >= task.warm_up + task.events:
            end = self._snapshot()
            seconds = end.cpu_seconds - self._warm.cpu_seconds
            self.measured = Measured(end.events - self._warm.events, seconds, self._snapshots, self._steps)
            self.done.set()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the CPU time of a block to a step, once the warm-up is over."""
        before = time.process_time()
        yield
        if self._warm is not None:
            self._steps[name] = self._steps.get(name, 0.0) + time.process_time() - before

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._events, time.process_time(), self._process.memory_info().rss / _MEGABYTE)
