"""Detect a progress marker that no longer changes. A thread, for the event loop itself may hang."""

import threading
from collections.abc import Callable, Mapping


class Stillness:
    """Counts for how many checks in a row each marker has stayed the same.

    Checks are counted, not seconds: a process that was suspended and resumed has not been still.

    >>> still = Stillness(max_checks=2)
    >>> [still.check(markers) for markers in ({"a": 1}, {"a": 1, "b": 7}, {"a": 1, "b": 8}, {"b": 9})]
    [None, None, 'a', None]
    """

    def __init__(self, max_checks: int) -> None:
        self._max_checks = max_checks
        self._seen: dict[str, tuple[object, int]] = {}

    def check(self, markers: Mapping[str, object]) -> str | None:
        """Take the markers as they are now; return one that stayed the same for ``max_checks`` more checks."""
        seen = {}
        for name, marker in markers.items():
            before, checks = self._seen.get(name, (marker, -1))
            seen[name] = (marker, checks + 1 if before == marker else 0)
        self._seen = seen
        return next((name for name, (_, checks) in seen.items() if checks >= self._max_checks), None)


class Watchdog(threading.Thread):
    """Checks ``markers()`` every ``interval_seconds`` and calls ``on_still(name)`` once, then ends.

    ``markers`` and ``on_still`` run in this thread.
    """

    def __init__(
        self,
        markers: Callable[[], Mapping[str, object]],
        on_still: Callable[[str], None],
        timeout_seconds: float,
        interval_seconds: float = 1.0,
    ) -> None:
        super().__init__(name="weir-watchdog", daemon=True)
        self._markers = markers
        self._on_still = on_still
        self._stillness = Stillness(max(1, round(timeout_seconds / interval_seconds)))
        self._interval_seconds = interval_seconds
        self._ended = threading.Event()

    def run(self) -> None:
        """Watch until ended."""
        while not self._ended.wait(self._interval_seconds):
            name = self._stillness.check(self._markers())
            if name is not None:
                self._on_still(name)
                return

    def end(self) -> None:
        """Watch no more."""
        self._ended.set()
