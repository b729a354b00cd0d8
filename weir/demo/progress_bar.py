"""Progress of long work: a bar with the remaining time on a terminal, a line every ten seconds elsewhere."""

import time
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

_LINE_SECONDS = 10.0  # between two lines


class Progress:
    """Show the progress of each task on ``out``, normally standard error: standard output is for data.

    ``clock`` returns monotonic seconds.
    """

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._bars = bars(Console(file=out), clock) if out.isatty() else None
        self._tasks: dict[str, TaskID] = {}
        self._line = ""
        self._what = ""
        self._due_seconds = 0.0

    def show(self, what: str, done: int, total: int = 0) -> None:
        """Show that ``done`` of ``total`` steps of ``what`` are done; ``total`` is 0 when it is unknown."""
        if self._bars is None:
            self._print(what, done, total)
            return
        shown = amount(done, total)
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total or None, amount=shown)
            self._bars.start()
        self._bars.update(self._tasks[what], completed=done, total=total or None, amount=shown)

    def close(self) -> None:
        """Stop drawing; the bars stay on the screen."""
        if self._bars is not None and self._tasks:
            self._bars.stop()
        self._tasks.clear()

    def _print(self, what: str, done: int, total: int) -> None:
        """Print a line for a new task, one every ten seconds, and one for the end; never the same line twice."""
        now = self._clock()
        line = f"{what}: {amount(done, total)}"
        if line == self._line or (what == self._what and now < self._due_seconds and done != total):
            return
        self._out.write(f"{line}\n")
        self._out.flush()
        self._line, self._what, self._due_seconds = line, what, now + _LINE_SECONDS


def bars(console: Console, clock: Callable[[], float] = time.monotonic) -> Bars:
    """Return an empty set of bars: description, bar, amount and remaining time."""
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        get_time=clock,
    )


def amount(done: int, total: int = 0) -> str:
    """Return how much is done, as text.

    >>> amount(50, 200), amount(50_000)
    ('50 of 200 (25 %)', '50,000')
    """
    return f"{done:,} of {total:,} ({100 * done / total:.0f} %)" if total else f"{done:,}"
