"""The output of ``weir up``: one live view on a terminal, lines elsewhere. Reads nothing, decides nothing."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from math import isnan
from typing import Protocol, TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import TaskID

from weir.demo.progress_bar import Progress, amount, bars
from weir.demo.screen import screen, waits
from weir.demo.state import State
from weir.status.snapshot import SHOWN_NAMES

_LINE_SECONDS = 10.0
_MESSAGES_KEPT = 8


class View(Protocol):
    """The output of a run: `Lines` or `Screen`."""

    def report(self, text: str) -> None:
        """Show a message."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Show the progress of long work."""

    def finished(self, what: str) -> None:
        """Remove the progress of that work."""

    def show(self, state: State) -> None:
        """Show the current state."""


@contextmanager
def view_for(out: TextIO) -> Iterator[View]:
    """Yield the live view when ``out`` is a terminal, else lines."""
    if not out.isatty():
        yield Lines(out)
        return
    console = Console(file=out)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield Screen(live)


class Lines:
    """A line for each message, and one for the state every ten seconds, unless it is the same as before."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._clock = clock
        self._progress = Progress(out, clock)
        self._shown_seconds = -_LINE_SECONDS
        self._last = ""

    def report(self, text: str) -> None:
        """Print the message."""
        print(text, file=self._out, flush=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """Print it at intervals."""
        self._progress.show(what, done, total)

    def finished(self, what: str) -> None:
        """Do nothing: printed lines stay."""

    def show(self, state: State) -> None:
        """Print the state when it has changed, at most every ten seconds."""
        if self._clock() - self._shown_seconds < _LINE_SECONDS or (text := line(state)) == self._last:
            return
        self._shown_seconds, self._last = self._clock(), text
        self.report(text)


def line(state: State) -> str:
    """Return the state in one line."""
    shared = state.shared
    means = [(title, shared.mean_auc(name)) for name, title in SHOWN_NAMES.items()]
    parts = [
        f"{state.event_time:%Y-%m-%d %H:%M}" if state.event_time else "",
        f"events {state.events:,}",
        f"undecided {state.undecided:,}",
        f"samples {shared.samples:,}",
        f"buffer {shared.buffer.items:,}/{shared.buffer.capacity:,}",
        f"serving {shared.active.version}" if shared.active else "no model",
        f"promotions {shared.promotions}",
        *(f"{name} AUC {value:.3f}" for name, value in means if not isnan(value)),
        waits(state.waiting) if state.waiting.impressions else "",
        "training frozen" if state.frozen else "",
        *(f"{role.role} {role.state.replace('_', ' ')}" for role in state.roles if role.state != "working"),
    ]
    return "  ".join(part for part in parts if part)


class Screen:
    """One view that is redrawn at each change, as large as the terminal."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._messages: deque[str] = deque(maxlen=_MESSAGES_KEPT)
        self._bars = bars(live.console)
        self._tasks: dict[str, TaskID] = {}
        self._state: State | None = None

    def report(self, text: str) -> None:
        """Show the message below the state, until newer ones replace it."""
        self._messages.append(text)
        self._draw()

    def progress(self, what: str, done: int, total: int) -> None:
        """Show a bar with the remaining time."""
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=None, amount="")
        self._bars.update(self._tasks[what], completed=done, total=total or None, amount=amount(done, total))
        if total and done >= total:
            self.finished(what)
        self._draw()

    def finished(self, what: str) -> None:
        """Remove the bar."""
        task = self._tasks.pop(what, None)
        if task is not None:
            self._bars.remove_task(task)

    def show(self, state: State) -> None:
        """Draw the state."""
        self._state = state
        self._draw()

    def _draw(self) -> None:
        work = self._bars.make_tasks_table(self._bars.tasks) if self._tasks else None
        size = self._live.console.size
        view = screen(self._state, list(self._messages), work, len(self._tasks), size, datetime.now(UTC))
        self._live.update(view, refresh=True)
