"""The state of a running stack as ``weir up`` shows it. Values only; reads nothing."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from importance.partition_progress import BEGINNING_OF_TIME_MS
from weir.status.service import Role
from weir.status.snapshot import Snapshot

_RATE_SECONDS = 10.0  # the period over which a rate is measured


@dataclass(frozen=True)
class Waiting:
    """Impressions that wait for their actions; ``first_decided``: wall-clock time of the first decision."""

    impressions: int
    first_decided: datetime | None = None


@dataclass(frozen=True)
class State:
    """The shared state, and the progress of the topic.

    ``events``: records in the topic. ``undecided``: records that wait or are unread; ``unread``: the latter only.
    ``train_after``: new samples that start a fine-tune.
    """

    shared: Snapshot
    events: int
    undecided: int
    dead_letters: int
    unread: int = 0
    events_per_second: float = 0.0
    waiting: Waiting = Waiting(0)
    roles: Sequence[Role] = ()
    train_after: int = 0

    @property
    def frozen(self) -> bool:
        """Return whether training is frozen."""
        return self.shared.active is not None and self.shared.active.frozen

    @property
    def untrained(self) -> int:
        """Return the number of samples decided since the last training started."""
        return self.shared.untrained

    @property
    def event_time(self) -> datetime | None:
        """Return the latest event time of any partition up to which everything is decided; None before any."""
        times = [position.progress.event_time_ms for position in self.shared.positions if position.progress]
        newest = max(times, default=BEGINNING_OF_TIME_MS)
        return None if newest == BEGINNING_OF_TIME_MS else datetime.fromtimestamp(newest / 1_000, UTC)


@dataclass
class Rate:
    """Events per second over the last seconds; ``clock`` returns monotonic seconds."""

    clock: Callable[[], float] = time.monotonic
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def of(self, total: int) -> float:
        """Add the current total; return the rate since the oldest total of the last seconds.

        >>> seconds = iter([0.0, 2.0, 4.0])
        >>> rate = Rate(clock=lambda: next(seconds))
        >>> [rate.of(total) for total in (0, 100, 400)]
        [0.0, 50.0, 100.0]
        """
        now = self.clock()
        self._seen.append((now, total))
        while now - self._seen[0][0] > _RATE_SECONDS:
            self._seen.popleft()
        then, before = self._seen[0]
        return (total - before) / (now - then) if now > then else 0.0
