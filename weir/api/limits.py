"""How much one process of the interface handles at once. Independent of HTTP."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_ITEMS = 1_000  # samples or items of one request
MAX_BODY_BYTES = 16 * 1024 * 1024  # the most items, each of 16 KB


@dataclass(frozen=True)
class Limits:
    """Bounds of one process.

    ``body_bytes`` of one body, ``bodies_bytes`` of all large bodies at once; ``scorings`` at once; ``header_seconds``
    and ``body_seconds`` that a client has to send either. ``origins`` are those of web pages that may send requests, in
    addition to the interface's own; ``hosts`` those that a request may name in addition to loopback, None any.
    """

    body_bytes: int = MAX_BODY_BYTES
    bodies_bytes: int = 4 * MAX_BODY_BYTES
    scorings: int = 8
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    origins: Sequence[str] = field(default=())
    hosts: Sequence[str] | None = field(default=())


class Allowance:
    """Counts what is taken, and refuses what would exceed ``limit``. Thread-safe.

    >>> allowance = Allowance(2)
    >>> allowance.take(2), allowance.take(1)
    (True, False)
    >>> allowance.give_back(1)
    >>> allowance.take(1)
    True
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._lock = Lock()

    def take(self, amount: int = 1) -> bool:
        """Take ``amount`` and return True, or nothing and return False."""
        with self._lock:
            if self._taken + amount > self.limit:
                return False
            self._taken += amount
            return True

    def give_back(self, amount: int = 1) -> None:
        """Give back what was taken."""
        with self._lock:
            self._taken -= amount


class Recent(Generic[T]):
    """The value of ``make``, made again by the next call when it is older than ``seconds``. Thread-safe.

    >>> now = 0.0
    >>> count = iter(range(9))
    >>> recent = Recent(lambda: next(count), seconds=2.0, clock=lambda: now)
    >>> recent(), recent()
    (0, 0)
    >>> now = 2.0
    >>> recent()
    1
    """

    def __init__(self, make: Callable[[], T], seconds: float, clock: Callable[[], float] = monotonic) -> None:
        self._make = make
        self._seconds = seconds
        self._clock = clock
        self._made: tuple[T, float] | None = None
        self._lock = Lock()

    def __call__(self) -> T:
        """Return the value; calls that arrive while it is made wait for it."""
        with self._lock:
            if self._made is None or self._clock() - self._made[1] >= self._seconds:
                self._made = self._make(), self._clock()
            return self._made[0]
