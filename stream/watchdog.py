"""Sees that something stands still which should move. A thread, for it may be the event loop that hangs."""

import threading
from collections.abc import Callable, Mapping


class Stillness:
    """Counts for how many looks in a row each mark has stayed the same.

    Looks are counted, not seconds: a process that was stopped and goes on again has not been still, it was not there.

    >>> still = Stillness(patience=2)
    >>> [still.look(marks) for marks in ({"a": 1}, {"a": 1, "b": 7}, {"a": 1, "b": 8}, {"b": 9})]
    [None, None, 'a', None]
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._seen: dict[str, tuple[object, int]] = {}

    def look(self, marks: Mapping[str, object]) -> str | None:
        """Take the marks as they are now; the name of one that stayed the same for ``patience`` more looks."""
        seen = {}
        for name, mark in marks.items():
            before, looks = self._seen.get(name, (mark, -1))
            seen[name] = (mark, looks + 1 if before == mark else 0)
        self._seen = seen
        return next((name for name, (_, looks) in seen.items() if looks >= self._patience), None)


class Watchdog(threading.Thread):
    """Looks at ``marks()`` every ``interval_seconds`` and calls ``on_still(name)`` once, then ends.

    ``marks`` and ``on_still`` run in this thread.
    """

    def __init__(
        self,
        marks: Callable[[], Mapping[str, object]],
        on_still: Callable[[str], None],
        patience_seconds: float,
        interval_seconds: float = 1.0,
    ) -> None:
        super().__init__(name="weir-watchdog", daemon=True)
        self._marks = marks
        self._on_still = on_still
        self._stillness = Stillness(max(1, round(patience_seconds / interval_seconds)))
        self._interval_seconds = interval_seconds
        self._ended = threading.Event()

    def run(self) -> None:
        """Watch until ended."""
        while not self._ended.wait(self._interval_seconds):
            name = self._stillness.look(self._marks())
            if name is not None:
                self._on_still(name)
                return

    def end(self) -> None:
        """Watch no more."""
        self._ended.set()
