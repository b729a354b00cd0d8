"""Draw the live view of ``weir up`` for a terminal of a given size. Pure: the time is an argument."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from math import isnan

from rich.box import ROUNDED
from rich.console import ConsoleDimensions, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from importance.scores import BASELINE, SERVING
from storage.registry import Entry, Kind
from storage.runs import Run
from weir.demo.state import State, Waiting
from weir.status.service import NEEDED, Role
from weir.status.snapshot import SHOWN_NAMES, Snapshot, Week

_BARS = "▁▂▃▄▅▆▇█"
_COLOURS = {"working": "green", "starting": "yellow"}
_MESSAGES = 3  # at least so many lines are left for messages when there are so many
_VERSIONS = 8
_CHROME = 3  # the frame, and the line on which the terminal's cursor stays
_AUC_WIDTH = 40  # of a row of the AUC table without its sparkline


def screen(
    state: State | None,
    messages: Sequence[str],
    work: RenderableType | None,
    work_lines: int,
    size: ConsoleDimensions,
    now: datetime,
) -> RenderableType:
    """Return the whole view, at most as high as the terminal. ``work``: ``work_lines`` bars of long work."""
    bars = [work] if work is not None else []
    if state is None:
        return Group(*_messages(messages, size.height - work_lines - 1), *bars)
    facts = list(_facts(state, size.width, now))
    fixed = [_quality(state.shared, size.width - 4), _columns(facts)]
    free_lines = size.height - _CHROME - 5 - len(facts) - work_lines
    message_lines = min(len(messages), _MESSAGES, max(0, free_lines - 2))
    versions = _versions(state, min(_VERSIONS, free_lines - message_lines))
    body = [*fixed, *([versions] if versions else []), *_messages(messages, message_lines), *bars]
    return Panel(Group(*body), title="weir", box=ROUNDED)


def _quality(shared: Snapshot, width: int) -> Table:
    """Return the AUC by predictor, week by week: four lines under a header."""
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    table.add_column("AUC", width=10)
    table.add_column("mean of weeks", width=13)
    table.add_column("last 4 weeks", width=12)
    table.add_column("by week (gain: mean of four)", no_wrap=True)
    weeks = shared.weeks.get("all", ())
    shown = max(1, width - _AUC_WIDTH)
    for name, title in SHOWN_NAMES.items():
        values = [week.metrics[name].auc for week in weeks if name in week.metrics]
        table.add_row(title, _auc(shared.mean_auc(name)), _auc(_mean(values[-4:])), sparkline(values[-shown:]))
    gaps = gains(weeks)
    table.add_row("gain", _gap(_mean(gaps)), _gap(_mean(gaps[-4:])), sparkline(rolling(gaps, 4)[-shown:]))
    return table


def _facts(state: State, width: int, now: datetime) -> Iterator[tuple[str, RenderableType]]:
    """Yield a name and a line for each part of the state."""
    event_time = f"{state.event_time:%Y-%m-%d %H:%M}" if state.event_time else "none yet"
    yield (
        "stream",
        f"event time {event_time}   {state.events_per_second:,.0f} events/s   {state.unread:,} unread",
    )
    yield (
        "decided",
        f"{state.shared.samples:,} samples of {state.events:,} events   {state.undecided:,} undecided   "
        f"{state.dead_letters:,} dead letters",
    )
    if state.waiting.impressions:
        yield "", waits(state.waiting)
    yield "roles", roles(state.roles)
    yield "training", training(state, now)
    if last := last_run(state.shared.runs):
        yield "", last
    yield from (("buffer" if not i else "", text) for i, text in enumerate(_buffer(state.shared, width - 16)))


def waits(waiting: Waiting) -> str:
    """Return how many impressions wait, and when the next decision is due.

    >>> waits(Waiting(8))
    '8 impressions wait for their actions'
    >>> waits(Waiting(1, datetime(2026, 1, 1, 8, 53).astimezone()))
    '1 impression waits; the first is decided at 08:53'
    """
    subject = "1 impression waits" if waiting.impressions == 1 else f"{waiting.impressions:,} impressions wait"
    if waiting.first_decided is None:
        return f"{subject} for their actions"
    return f"{subject}; the first is decided at {waiting.first_decided.astimezone():%H:%M}"


def roles(known: Sequence[Role]) -> Text:
    """Return each role with its state, and why it is not working; one that has not reported yet is starting."""
    missing = [(name, "starting", "") for name in NEEDED if name not in {role.role for role in known}]
    reported = [(role.role, role.state.replace("_", " "), "; ".join(role.reasons)) for role in known]
    order = [*reported, *missing]
    parts = [
        Text.assemble(
            f"{name} ", (state, _COLOURS.get(state, "red")), f" ({why})" if why and state != "working" else ""
        )
        for name, state, why in sorted(order, key=lambda each: NEEDED.index(each[0]))
    ]
    return Text("   ").join(parts)


def training(state: State, now: datetime) -> RenderableType:
    """Return the state of training, or what it waits for."""
    runs = state.shared.runs
    if runs and runs[0].ended is None:
        seconds = max(0.0, (now - runs[0].started).total_seconds())
        return Text.assemble(("fine-tuning", "bold"), f" for {seconds:.0f} s (trigger: {runs[0].trigger})")
    if state.frozen:
        return Text(_frozen_by(state.shared.log), style="bold red")
    return f"{state.untrained:,} of {state.train_after:,} samples until the next fine-tune"


def _frozen_by(log: Sequence[Entry]) -> str:
    entry = next((each for each in reversed(log) if each.kind in (Kind.FREEZE, Kind.ROLLBACK)), None)
    if entry is None:
        return "frozen"
    return f"frozen since {entry.time.astimezone():%H:%M} by {entry.actor}: {entry.reason or 'no reason given'}"


def last_run(runs: Sequence[Run]) -> str | None:
    """Return how the last fine-tune ended, and why."""
    run = next((each for each in runs if each.ended is not None), None)
    if run is None:
        return None
    reason = f": {run.reasons[0]}" if run.reasons else ""
    return f"last: {run.candidate or 'no candidate'} {run.result}{reason}"


def _buffer(shared: Snapshot, width: int) -> list[str]:
    """Return the items of each stratum in lines of ``width``."""
    cells = [_held("all", shared.buffer.items, shared.buffer.capacity)]
    cells += [_held(each.name, each.items, each.capacity) for each in shared.buffer.strata]
    lines = [""]
    for cell in cells:
        joined = f"{lines[-1]}   {cell}" if lines[-1] else cell
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(cell)
    return lines


def _held(name: str, items: int, capacity: int) -> str:
    """Return a stratum's items and capacity; items above it are removed by the next trim.

    >>> _held("uniform", 2_010, 2_000), _held("holdout", 12, 2_000)
    ('uniform 2,000/2,000 (+10 to trim)', 'holdout 12/2,000')
    """
    surplus = f" (+{items - capacity:,} to trim)" if items > capacity else ""
    return f"{name} {min(items, capacity):,}/{capacity:,}{surplus}"


def _versions(state: State, lines: int) -> Table | None:
    """Return the newest versions with the gate's decision, as many as fit into ``lines`` under a header."""
    if lines < 2:
        return None
    table = Table(box=None, header_style="bold", pad_edge=False, expand=True)
    table.add_column("version", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("gate", no_wrap=True, overflow="ellipsis", ratio=1)
    active = state.shared.active.version if state.shared.active else None
    for version in reversed(state.shared.versions[-(lines - 1) :]):
        style = "bold green" if version.version == active else ""
        table.add_row(version.version, version.state, str(version.metrics.get("gate", "")), style=style)
    return table


def _columns(facts: Sequence[tuple[str, RenderableType]]) -> Table:
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="bold", width=8)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for name, text in facts:
        table.add_row(name, text)
    return table


def _messages(messages: Sequence[str], lines: int) -> list[RenderableType]:
    shown = messages[-lines:] if lines > 0 else []
    return [Text(message, style="dim", no_wrap=True, overflow="ellipsis") for message in shown]


def gains(weeks: Sequence[Week]) -> list[float]:
    """Return the AUC of the active model minus that of the baseline, week by week."""
    pairs = [(week.metrics.get(SERVING), week.metrics.get(BASELINE)) for week in weeks]
    return [serving.auc - baseline.auc for serving, baseline in pairs if serving and baseline]


def rolling(values: Sequence[float], width: int) -> list[float]:
    """Return the mean of each value and the up to ``width`` − 1 values before it: single weeks vary.

    >>> rolling([1, 2, 3, 6], 2)
    [1.0, 1.5, 2.5, 4.5]
    """
    return [_mean(values[max(0, end - width) : end]) for end in range(1, len(values) + 1)]


def sparkline(values: Sequence[float]) -> str:
    """Return one bar for each value, scaled from the smallest to the largest.

    >>> sparkline([0.80, 0.85, 0.90])
    '▁▄█'
    """
    known = [value for value in values if not isnan(value)]
    if not known:
        return ""
    low, span = min(known), (max(known) - min(known)) or 1.0
    return "".join(" " if isnan(value) else _BARS[int((value - low) / span * (len(_BARS) - 1))] for value in values)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def _auc(value: float) -> str:
    return "-" if isnan(value) else f"{value:.3f}"


def _gap(value: float) -> str:
    return "-" if isnan(value) else f"{value:+.3f}"
