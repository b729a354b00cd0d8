"""The state of a running stack, and its rate of events."""

from datetime import UTC, datetime

import pytest

from importance.partition_progress import BEGINNING_OF_TIME_MS, Progress
from storage.buffer_reader import BufferStats
from storage.progress import Position
from storage.registry import Active
from weir.demo.state import Rate, State
from weir.status.snapshot import Snapshot


def state(*event_times_ms: int | None, active: Active | None = None) -> State:
    """A partition for each event time; None is one without progress."""
    positions = tuple(
        Position(number, 1, 1, 1, 0, None if time_ms is None else Progress(1, time_ms, 1, time_ms))
        for number, time_ms in enumerate(event_times_ms)
    )
    return State(Snapshot(positions, BufferStats(0, 0, 0.0, ()), active, (), (), (), {}, {}), 0, 0, 0)


def test_event_time_is_that_of_the_partition_that_is_furthest() -> None:
    assert state(None, 1_767_614_400_000, 1_000, BEGINNING_OF_TIME_MS).event_time == datetime(
        2026, 1, 5, 12, tzinfo=UTC
    )


@pytest.mark.parametrize("times", [(), (None,), (BEGINNING_OF_TIME_MS, None)])
def test_before_anything_is_decided_there_is_no_event_time(times: tuple[int | None, ...]) -> None:
    assert state(*times).event_time is None


@pytest.mark.parametrize(
    ("active", "frozen"),
    [(None, False), (Active(1, "v1", "", "", frozen=False), False), (Active(2, "v1", "", "", frozen=True), True)],
)
def test_a_service_without_a_model_is_not_frozen(active: Active | None, frozen: bool) -> None:
    assert state(active=active).frozen == frozen


def test_a_rate_is_over_the_last_ten_seconds_alone() -> None:
    now = 0.0
    rate = Rate(clock=lambda: now)
    rates = []
    for second in range(31):
        now = float(second)
        rates.append(rate.of(100 * min(second, 10)))  # 100 a second, for ten seconds
    assert (rates[0], rates[5], rates[10], rates[15], rates[30]) == (0.0, 100.0, 100.0, 50.0, 0.0)
