"""How long work shows itself: one line that moves on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

_LINE_SECONDS = 10.0  # between two plain lines
_FRAME_SECONDS = 0.1  # between two states of the line that moves
_WIDTH = 30


class Progress:
    """Told what is done and how far it is; writes to ``out``, standard error as a rule, so that data stays clean."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._moves = out.isatty()
        self._what: str | None = None
        self._next_seconds = 0.0

    def show(self, what: str, done: int, total: int = 0) -> None:
        """``what`` is done to ``done`` of ``total``; 0 when the end is not known."""
        now = self._clock()
        if what == self._what and now < self._next_seconds and done != total:
            return
        if self._moves:
            self._begin_line(what)
            self._out.write(f"\r\x1b[2K{_bar(what, done, total)}")
        else:
            self._out.write(f"{_figures(what, done, total)}\n")
        self._out.flush()
        self._what = what
        self._next_seconds = now + (_FRAME_SECONDS if self._moves else _LINE_SECONDS)

    def close(self) -> None:
        """Leave the line that moves."""
        if self._moves and self._what is not None:
            self._out.write("\n")
            self._out.flush()
        self._what = None

    def _begin_line(self, what: str) -> None:
        if self._what not in (None, what):
            self._out.write("\n")


def _figures(what: str, done: int, total: int) -> str:
    """Plain words for how far it is.

    >>> _figures("training", 50, 200), _figures("replaying", 50_000, 0)
    ('training: 50 of 200 (25 %)', 'replaying: 50,000')
    """
    return f"{what}: {done:,} of {total:,} ({done / total:.0%})".replace("%)", " %)") if total else f"{what}: {done:,}"


def _bar(what: str, done: int, total: int) -> str:
    filled = round(_WIDTH * min(done / total, 1)) if total else 0
    drawn = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] " if total else ""
    return drawn + _figures(what, done, total)
