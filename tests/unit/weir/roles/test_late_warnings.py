"""Warnings of late impressions: at once, then at most one a minute and partition."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from importance.decisions import LateImpression
from weir.roles.late_warnings import LateWarnings

NOON_MS = 1_767_614_400_000  # 2026-01-05T12:00:00Z


class Clock:
    """Seconds, set by the test."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def late(*seconds: float) -> list[LateImpression]:
    """Impressions that are so many seconds late."""
    return [LateImpression(round(NOON_MS - 1_000 * each), NOON_MS) for each in seconds]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def warnings(clock: Clock) -> LateWarnings:
    return LateWarnings(clock)


def counts(lines: list[Any]) -> list[tuple[int, int, float]]:
    return [(line["partition"], line["count"], line["late_seconds"]) for line in lines]


def test_the_first_is_reported_at_once_with_its_time(warnings: LateWarnings) -> None:
    with capture_logs() as lines:
        warnings.add(3, late(90.0, 700.5, 60.0), has_letters=True)
    assert counts(lines) == [(3, 3, 700.5)]
    assert lines[0]["event_time"] == "2026-01-05T12:00:00+00:00"


@pytest.mark.parametrize(("letters", "remedy"), [(True, "redrive --reason late"), (False, "see WEIR_LATE")])
def test_the_remedy_is_where_the_impressions_are(warnings: LateWarnings, letters: bool, remedy: str) -> None:
    with capture_logs() as lines:
        warnings.add(0, late(90.0), letters)
    assert remedy in lines[0]["event"]


def test_more_within_a_minute_are_summed_and_reported_after_it(warnings: LateWarnings, clock: Clock) -> None:
    warnings.add(0, late(90.0), True)
    with capture_logs() as lines:
        for seconds in (1.0, 59.9):
            clock.now = 1_000.0 + seconds
            warnings.add(0, late(10.0, 20.0), True)
            warnings.tick()
        assert lines == []
        clock.now = 1_060.0
        warnings.tick()
        warnings.tick()
    assert counts(lines) == [(0, 4, 20.0)]


def test_a_partition_waits_for_no_other(warnings: LateWarnings) -> None:
    with capture_logs() as lines:
        warnings.add(0, late(10.0), True)
        warnings.add(1, late(20.0), True)
        warnings.add(0, late(30.0), True)
    assert counts(lines) == [(0, 1, 10.0), (1, 1, 20.0)]


def test_nothing_late_is_nothing_to_report(warnings: LateWarnings, clock: Clock) -> None:
    with capture_logs() as lines:
        warnings.add(0, [], True)
        clock.now += 3_600
        warnings.tick()
    assert lines == []
