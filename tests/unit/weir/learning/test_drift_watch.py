"""The evaluation of drift next to training: it never keeps the trainer from training."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from importance.drift.evaluation import Alarm
from importance.errors import InvalidInput, Unavailable
from storage.drift import Evaluated
from weir.learning import drift_watch
from weir.learning.drift_watch import DriftWatch
from weir.settings import Settings

ALARM = Alarm(3_600_000, "psi", "price", "all", "", 0.4, 0.3, 0.001)
TIME = datetime(2026, 1, 1, tzinfo=UTC)


class Table:
    """What `Drift` gives: the results of its evaluations, one after the other, exceptions raised."""

    def __init__(self, *results: Evaluated | Exception | None) -> None:
        self.results = list(results)
        self.given = 0

    def evaluate(self, _evaluate: object) -> Evaluated | None:
        self.given += 1
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    def last_alarm(self) -> datetime | None:
        return TIME


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(drift_watch, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Callable[..., DriftWatch]:
    def make(table: Table, **changes: str) -> DriftWatch:
        monkeypatch.setattr(drift_watch, "drift_reader", lambda *_: table)
        return DriftWatch(Settings(**changes), None)  # type: ignore[arg-type]  # the engine is the table's

    return make


def test_a_backlog_is_evaluated_without_a_pause_and_then_every_two_seconds(
    clock: list[float], watch: Callable[..., DriftWatch]
) -> None:
    table = Table(Evaluated([ALARM], 0), Evaluated([], 0), None, None)
    watched = watch(table)
    assert [watched.poll() for _ in range(4)] == [TIME.timestamp()] * 4
    assert table.given == 3
    clock[0] = 2.0
    watched.poll()
    assert table.given == 4


def test_rows_that_were_skipped_are_logged_once(clock: list[float], watch: Callable[..., DriftWatch]) -> None:
    watched = watch(Table(Evaluated([], 3), Evaluated([], 0), None))
    with capture_logs() as logged:
        for _ in range(3):
            watched.poll()
    assert logged == [{"event": "drift sums of another release skipped", "rows": 3, "log_level": "warning"}]


def test_what_cannot_be_evaluated_is_tried_again_later_and_training_goes_on(
    clock: list[float], watch: Callable[..., DriftWatch]
) -> None:
    table = Table(None, InvalidInput("the stored state of psi cannot be read"), None)
    watched = watch(table)
    known = watched.poll()
    clock[0] = 2.0
    assert watched.poll() == known
    clock[0] = 299.0
    assert watched.poll() == known
    assert table.given == 2
    clock[0] = 302.0
    watched.poll()
    assert table.given == 3


def test_a_database_that_is_unavailable_is_reported(clock: list[float], watch: Callable[..., DriftWatch]) -> None:
    watched = watch(Table(Unavailable("gone"), None))
    with pytest.raises(Unavailable):
        watched.poll()
    watched.poll()


def test_nothing_is_evaluated_where_drift_is_off(clock: list[float], watch: Callable[..., DriftWatch]) -> None:
    table = Table()
    assert watch(table, drift="off").poll() is None
    assert table.given == 0
