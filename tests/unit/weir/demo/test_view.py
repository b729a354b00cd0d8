"""How the live view shows the state, at several sizes of the terminal, and what plain output prints."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Literal

import pytest
from rich.console import Console, ConsoleDimensions

from importance.partition_progress import Progress
from importance.scores import BASELINE, SERVING
from storage.buffer_reader import BufferStats, StratumStats
from storage.heartbeats import Model
from storage.progress import Position
from storage.registry import Active, Entry, Kind, Version
from storage.registry import State as VersionState
from storage.runs import Run
from weir.demo.screen import screen
from weir.demo.state import State, Waiting
from weir.demo.view import Lines
from weir.status.service import Role
from weir.status.snapshot import PredictionMetrics, Snapshot, Week

NOW = datetime(2026, 1, 5, 8, 30, tzinfo=UTC)
EVENT_TIME_MS = 1_298_973_600_000  # 2011-03-01 10:00 UTC


def figures(auc: float) -> PredictionMetrics:
    return PredictionMetrics(100, auc, log_loss=0.5, calibration_error=0.1)


def run(result: str | None, reason: str = "") -> Run:
    ended = None if result is None else NOW
    return Run(1, "amount", {"samples": 700}, NOW - timedelta(seconds=4), ended, result, (reason,), "v2")


def version(number: int) -> Version:
    gate = {"gate": f"candidate .85{number} of AUC, serving .840, by 1,900 samples of the holdout: not worse by .010"}
    return Version(f"v{number}", None, VersionState.RETIRED, NOW, "", "", gate, {})


def role(name: str, what: Literal["working", "not_ready"], *reasons: str) -> Role:
    return Role(name, "host", 7, what, False, NOW, NOW, 1.0, reasons, Model(), NOW, None, None)


def state(weeks: int = 0, versions: int = 0, runs: Sequence[Run] = (), surplus: int = 0) -> State:
    names = ("holdout", "uniform", "positive", "negative")
    strata = tuple(StratumStats(name, 2_500, 2_500 + surplus, 0.0, 100.0, "", 75, 0.02) for name in names)
    spans = tuple(
        Week(f"2011-01-{day:02}", {SERVING: figures(0.8 + day / 1000), BASELINE: figures(0.78)})
        for day in range(1, weeks + 1)
    )
    shared = Snapshot(
        (Position(0, 1, 1, 1, 1_000, Progress(9, EVENT_TIME_MS, 5, EVENT_TIME_MS)),),
        BufferStats(10_000, 10_000 + 4 * surplus, 0.0, strata),
        Active(1, "v1", "", "", frozen=False),
        tuple(version(number) for number in range(versions)),
        (),
        runs,
        {"all": spans},
        {},
    )
    roles = (role("worker", "working"), role("api", "not_ready", "storage: no answer"))
    return State(shared, 1_200, 200, 3, 150, 42.0, roles=roles, train_after=1_500)


def drawn(what: State | None, width: int = 140, height: int = 50, messages: Sequence[str] = ()) -> list[str]:
    out = StringIO()
    view = screen(what, messages, None, 0, ConsoleDimensions(width, height), NOW)
    Console(file=out, width=width, height=height).print(view)
    return out.getvalue().splitlines()


def test_an_auc_has_no_sign_and_a_gain_always_has_one() -> None:
    lines = {line.split()[1]: line.split()[2] for line in drawn(state(weeks=1)) if len(line.split()) > 2}
    assert (lines["serving"], lines["baseline"], lines["gain"]) == ("0.801", "0.780", "+0.021")


def test_the_aucs_are_on_top() -> None:
    assert "AUC" in drawn(state(weeks=3))[1]


@pytest.mark.parametrize(("width", "height"), [(80, 24), (140, 50)])
def test_the_view_fits_the_terminal(width: int, height: int) -> None:
    messages = [f"message {number}" + " with a long text" * 20 for number in range(9)]
    full = replace(state(weeks=30, versions=20, runs=[run("rejected", "worse " * 40)], surplus=12), waiting=Waiting(8))
    lines = drawn(full, width, height, messages)
    assert len(lines) <= height - 1
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for shown in ("serving", "worker", "trainer", "until the next fine-tune", "uniform", "message 8", "v19"):
        assert shown in text


def test_event_time_and_rate_are_those_of_the_stream() -> None:
    text = "\n".join(drawn(state()))
    assert "event time 2011-03-01 10:00" in text
    assert "42 events/s" in text
    assert "150 unread" in text


def test_each_role_shows_its_state_and_why_it_is_unavailable() -> None:
    text = "\n".join(drawn(state()))
    for shown in ("worker working", "trainer starting", "api not ready (storage: no answer)"):
        assert shown in text


def test_training_shows_what_it_waits_for() -> None:
    assert "1,000 of 1,500 samples until the next fine-tune" in "\n".join(drawn(state()))


def test_training_shows_since_when_it_runs() -> None:
    assert "fine-tuning for 4 s (trigger: amount)" in "\n".join(drawn(state(runs=[run(None)])))


def test_training_shows_the_result_of_the_last_gate() -> None:
    text = "\n".join(drawn(state(runs=[run("rejected", "worse by .020")])))
    assert "last: v2 rejected: worse by .020" in text


def test_frozen_training_names_who_froze_it_and_why() -> None:
    frozen = state()
    entry = Entry(2, Kind.FREEZE, "v1", "v1", "ann", "it looks wrong", NOW)
    shared = replace(frozen.shared, active=Active(2, "v1", "", "", frozen=True), log=(entry,))
    assert "by ann: it looks wrong" in "\n".join(drawn(replace(frozen, shared=shared)))


def test_a_buffer_above_its_bound_says_what_the_next_trim_removes() -> None:
    text = "\n".join(drawn(state(surplus=10)))
    assert "all 10,000/10,000 (+40 to trim)" in text
    assert "uniform 2,500/2,500 (+10 to trim)" in text


def test_what_waits_says_when_the_first_is_decided() -> None:
    waiting = replace(state(), waiting=Waiting(8, datetime(2026, 1, 5, 8, 53).astimezone()))
    assert "8 impressions wait; the first is decided at 08:53" in "\n".join(drawn(waiting))


def test_before_the_first_state_messages_alone_are_shown() -> None:
    assert [line.strip() for line in drawn(None, messages=["starting Kafka", "starting Postgres"])] == [
        "starting Kafka",
        "starting Postgres",
    ]


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_plain_output_does_not_repeat_an_unchanged_state() -> None:
    out, clock = StringIO(), Clock()
    lines = Lines(out, clock)
    for second in range(60):
        clock.now = float(second)
        lines.show(state())
    clock.now = 60.0
    lines.show(replace(state(), events=1_300))
    assert [text.partition("events ")[2][:5] for text in out.getvalue().splitlines()] == ["1,200", "1,300"]
