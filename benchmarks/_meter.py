"""What is measured: CPU time and memory of one process while it reads so many events."""

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
    """What to read: ``events`` after ``warm_up`` more; memory is noted at every ``mark_every`` events."""

    contestant: str
    kafka: KafkaConnection
    topics: Topics
    group: str
    warm_up: int
    events: int
    database_url: str = ""
    mark_every: int = 0


class Mark(msgspec.Struct, frozen=True):
    """The process after so many events; CPU time is user and system, of all its threads."""

    events: int
    cpu_seconds: float
    memory_megabytes: float


class Measured(msgspec.Struct, frozen=True):
    """Events that were read after the warm-up, and the CPU seconds they took, in all and by step."""

    events: int
    cpu_seconds: float
    marks: list[Mark]
    steps: dict[str, float] = {}

    @property
    def rate(self) -> float:
        """Events per CPU-second."""
        return self.events / self.cpu_seconds

    def microseconds(self, seconds: float) -> float:
        """CPU time by event."""
        return seconds / self.events * 1e6


class Meter:
    """Counts events; ``done`` is set, and ``measured`` there, when the task's are read."""

    def __init__(self, task: Task) -> None:
        self.done = asyncio.Event()
        self.measured: Measured | None = None
        self._task = task
        self._process = psutil.Process()
        self._events = 0
        self._warm: Mark | None = None
        self._marks: list[Mark] = []
        self._steps: dict[str, float] = {}

    def count(self, events: int) -> None:
        """So many more are read."""
        before, self._events = self._events, self._events + events
        task = self._task
        if task.mark_every and self._events // task.mark_every > before // task.mark_every:
            self._marks.append(self._mark())
        if self._warm is None:
            self._warm = self._mark() if self._events >= task.warm_up else None
        elif self.measured is None and self._events >= task.warm_up + task.events:
            end = self._mark()
            seconds = end.cpu_seconds - self._warm.cpu_seconds
            self.measured = Measured(end.events - self._warm.events, seconds, self._marks, self._steps)
            self.done.set()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Add the CPU time of a block to a step, once the warm-up is over."""
        before = time.process_time()
        yield
        if self._warm is not None:
            self._steps[name] = self._steps.get(name, 0.0) + time.process_time() - before

    def _mark(self) -> Mark:
        return Mark(self._events, time.process_time(), self._process.memory_info().rss / _MEGABYTE)
