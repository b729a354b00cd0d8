"""Look at a service from outside, several times a second: what is committed to Kafka, what is stored in Postgres."""

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Self

from importance.errors import Unavailable
from importance.partition_progress import Progress
from stream.topics import committed_offsets
from tests.support.service import Service

_INTERVAL_SECONDS = 0.2  # workers commit once a second


class Look(NamedTuple):
    """What was seen: ``committed`` was read first, so what it says must be covered by ``progress``, whatever happened
    between the two; ``at`` is when both had been read, in seconds since the epoch."""

    committed: Mapping[int, int]
    progress: Mapping[int, Progress]
    at: float


class Lookout(threading.Thread):
    """Looks for the length of a ``with`` block; while Postgres is away there is nothing to see.

    Whoever takes Kafka away holds ``paused``: its clients leave sockets behind when they lose their server.
    """

    def __init__(self, service: Service) -> None:
        super().__init__(name="lookout", daemon=True)
        self._service = service
        self._ended = threading.Event()
        self.paused = threading.Lock()
        self.looks: list[Look] = []

    def run(self) -> None:
        while not self._ended.wait(_INTERVAL_SECONDS):
            with self.paused, suppress(Unavailable):
                self.looks.append(self._look())

    def _look(self) -> Look:
        service = self._service
        committed = committed_offsets(service.connection, service.settings.consumer_group, service.topic)
        stored = {at.partition: at.progress for at in service.positions() if at.progress}
        return Look(committed, stored, time.time())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def commits(self) -> list[tuple[int, int, Progress | None]]:
        """Every different sight of a partition: its number, what was committed, and the progress seen after that."""
        seen = {
            (number, offset, look.progress.get(number)): None
            for look in self.looks
            for number, offset in look.committed.items()
        }
        return list(seen)

    @cached_property
    def _steps(self) -> dict[int, list[tuple[int, float]]]:
        """Partition → each `next` that was seen, rising, and when it was seen first. For when the looking has ended."""
        steps: dict[int, list[tuple[int, float]]] = defaultdict(list)
        for look in self.looks:
            for number, progress in look.progress.items():
                if not steps[number] or progress.next != steps[number][-1][0]:
                    steps[number].append((progress.next, look.at))
        return steps

    def remembered(self, partition: int, offset: int) -> float:
        """When a record was first seen to be decided and stored, in seconds since the epoch; else infinity."""
        steps = self._steps[partition]
        at = bisect_right(steps, offset, key=lambda step: step[0])
        return steps[at][1] if at < len(steps) else float("inf")

    def went_back(self) -> bool:
        """Whether a `next` was ever less than before."""
        return any(one > other for steps in self._steps.values() for (one, _), (other, _) in pairwise(steps))
