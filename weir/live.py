"""What ``weir up`` shows: one live view on a terminal, plain lines elsewhere. Reads nothing, decides nothing."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isnan
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from importance.strata import STRATA
from stream.replay import Advance
from weir.progress import Progress
from weir.snapshot import FROZEN, REFERENCE, SERVING, Snapshot, Week

_BARS = "▁▂▃▄▅▆▇█"
_LINE_SECONDS = 10.0
_VERSIONS_SHOWN = 8
_SAID_SHOWN = 4


@dataclass(frozen=True)
class State:
    """The shared state, and how far the topic is read. ``undecided``: records in the topic that wait or are unread."""

    shared: Snapshot
    events: int
    undecided: int
    dead_letters: int

    @property
    def frozen(self) -> bool:
        """Whether training is frozen."""
        return self.shared.active is not None and self.shared.active.frozen

    @property
    def untrained(self) -> int:
        """Samples decided since the last training began."""
        return self.shared.untrained


class View(Protocol):
    """Where a run shows itself: `Lines` or `Screen`."""

    def say(self, text: str) -> None:
        """One line that stays."""

    def progress(self, what: str, done: int, total: int) -> None:
        """How far long work is."""

    def replayed(self, advance: Advance) -> None:
        """How far the replay is."""

    def show(self, state: State) -> None:
        """The state of now."""


@contextmanager
def view_for(out: TextIO) -> Iterator[View]:
    """The live view where ``out`` is a terminal, else plain lines."""
    if not out.isatty():
        yield Lines(out)
        return
    console = Console(file=out)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        yield Screen(live)


class Lines:
    """A line at the start, one for each thing said, and one every ten seconds."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._progress = Progress(out)
        self._advance: Advance | None = None
        self._shown = 0.0

    def say(self, text: str) -> None:
        """Print it."""
        print(text, file=self._out, flush=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """Print it now and then."""
        self._progress.show(what, done, total)

    def replayed(self, advance: Advance) -> None:
        """Remember it for the next line."""
        self._advance = advance

    def show(self, state: State) -> None:
        """Print the state, every ten seconds."""
        if (now := time.monotonic()) - self._shown >= _LINE_SECONDS:
            self._shown = now
            self.say(line(state, self._advance))


def line(state: State, advance: Advance | None) -> str:
    """The state in one line."""
    shared = state.shared
    parts = [
        f"{_day(advance.time_ms)}" if advance else "",
        f"events {state.events:,}",
        f"undecided {state.undecided:,}",
        f"samples {shared.samples:,}",
        f"buffer {shared.buffer.items:,}/{shared.buffer.capacity:,}",
        f"serving {shared.active.version}" if shared.active else "no model",
        f"promotions {shared.promotions}",
        *(f"{name} AUC {value:.3f}" for name, value in _means(shared) if not isnan(value)),
        "FROZEN" if state.frozen else "",
    ]
    return "  ".join(part for part in parts if part)


class Screen:
    """One view that is drawn anew at each state."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._said: deque[str] = deque(maxlen=_SAID_SHOWN)
        self._work = ""
        self._advance: Advance | None = None
        self._state: State | None = None

    def say(self, text: str) -> None:
        """Show it above the view."""
        self._said.append(text)
        self._draw()

    def progress(self, what: str, done: int, total: int) -> None:
        """Show how far long work is."""
        self._work = f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}"
        self._draw()

    def replayed(self, advance: Advance) -> None:
        """Remember it for the next state."""
        self._advance = advance
        self._work = ""

    def show(self, state: State) -> None:
        """Draw the state."""
        self._state = state
        self._draw()

    def _draw(self) -> None:
        parts: list[RenderableType] = [*self._said]
        if self._work:
            parts.append(self._work)
        if self._state is not None:
            parts.append(screen(self._state, self._advance))
        self._live.update(Group(*parts), refresh=True)


def screen(state: State, advance: Advance | None) -> RenderableType:
    """The whole view."""
    return Panel(Group(_stream(state, advance), _buffer(state), _models(state), _quality(state.shared)), title="weir")


def _stream(state: State, advance: Advance | None) -> Table:
    table = _table("event time", "events/s", "events", "undecided", "samples", "dead letters", "training")
    frozen = "[bold red]frozen[/]" if state.frozen else f"{state.untrained:,} new samples"
    table.add_row(
        _day(advance.time_ms) if advance else "-",
        f"{advance.records_per_second:,.0f}" if advance else "-",
        f"{state.events:,}",
        f"{state.undecided:,}",
        f"{state.shared.samples:,}",
        f"{state.dead_letters:,}",
        frozen,
    )
    return table


def _buffer(state: State) -> Table:
    items = {stratum.name: stratum for stratum in state.shared.buffer.strata}
    names = list(items) or STRATA
    table = _table("buffer", *names)
    cells = [f"{items[name].items:,}/{items[name].capacity:,}" if name in items else "-" for name in names]
    table.add_row(f"{state.shared.buffer.items:,}/{state.shared.buffer.capacity:,}", *cells)
    return table


def _models(state: State) -> Table:
    table = _table("version", "state", "gate")
    for version in reversed(state.shared.versions[-_VERSIONS_SHOWN:]):
        mark = "[bold green]" if state.shared.active and version.version == state.shared.active.version else ""
        table.add_row(f"{mark}{version.version}", version.state, str(version.metrics.get("gate", "")))
    return table


def _quality(shared: Snapshot) -> Table:
    table = _table("AUC", "mean of weeks", "last 4 weeks", "by week (of serving minus frozen: four-week mean)")
    weeks = shared.weeks.get("all", ())
    for name, value in _means(shared):
        values = [week.figures[name].auc for week in weeks if name in week.figures]
        table.add_row(name, _auc(value), _auc(_mean(values[-4:])), sparkline(values))
    gaps = gains(weeks)
    table.add_row("gain", _gap(_mean(gaps)), _gap(_mean(gaps[-4:])), sparkline(rolling(gaps, 4)))
    return table


def gains(weeks: Sequence[Week]) -> list[float]:
    """Serving's AUC minus the frozen copy's, week by week."""
    pairs = [(week.figures.get(SERVING), week.figures.get(FROZEN)) for week in weeks]
    return [serving.auc - frozen.auc for serving, frozen in pairs if serving and frozen]


def rolling(values: Sequence[float], width: int) -> list[float]:
    """The mean of each value and those up to ``width`` − 1 before it: single weeks vary.

    >>> rolling([1, 2, 3, 6], 2)
    [1.0, 1.5, 2.5, 4.5]
    """
    return [_mean(values[max(0, end - width) : end]) for end in range(1, len(values) + 1)]


def sparkline(values: Sequence[float]) -> str:
    """A bar a value, from the smallest to the largest.

    >>> sparkline([0.80, 0.85, 0.90])
    '▁▄█'
    """
    known = [value for value in values if not isnan(value)]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if isnan(value) else _BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)


def _means(shared: Snapshot) -> list[tuple[str, float]]:
    return [(name, shared.mean_auc(name)) for name in (SERVING, FROZEN, REFERENCE)]


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def _auc(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"


def _gap(value: float) -> str:
    return "-" if isnan(value) else f"{value:+.3f}"


def _day(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M}"


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column)
    return table
