"""A role retries until its dependency is available, and reports both states."""

from threading import Event

import pytest

from importance.errors import InvalidInput, NotFound, Unavailable
from monitoring.metrics import DependencyMetrics, WorkerMetrics, new_registry
from weir.roles.common import retry_until_available
from weir.roles.reporting import Reporting
from weir.settings import Settings

SETTINGS = Settings(retry_first_seconds=1, retry_limit_seconds=3)


class RecordedPauses(Event):
    """An event whose waits end at once: without it being set, but for the last of ``limit`` waits."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._limit = limit

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        return len(self.seconds) == self._limit


@pytest.fixture
def reporting() -> Reporting:
    return Reporting(WorkerMetrics(new_registry()), DependencyMetrics(new_registry(), ("kafka",)))


def test_an_attempt_is_repeated_after_pauses_that_double_up_to_a_limit(reporting: Reporting) -> None:
    errors = iter([Unavailable("refused"), NotFound("no topic"), Unavailable("refused"), Unavailable("refused")])
    stop = RecordedPauses(limit=9)

    def attempt() -> str:
        for error in errors:
            raise error
        return "topic"

    assert retry_until_available(attempt, "kafka", SETTINGS, stop, reporting) == "topic"
    assert stop.seconds == [1, 2, 3, 3]
    assert reporting.reasons() == []


def test_a_stop_ends_the_attempts(reporting: Reporting) -> None:
    def attempt() -> str:
        raise Unavailable("refused")

    stop = RecordedPauses(limit=2)
    assert retry_until_available(attempt, "kafka", SETTINGS, stop, reporting) is None
    assert stop.seconds == [1, 2]
    assert reporting.reasons() == ["kafka: refused"]


def test_another_error_is_raised_at_once(reporting: Reporting) -> None:
    def attempt() -> str:
        raise InvalidInput("wrong password")

    with pytest.raises(InvalidInput, match="wrong password"):
        retry_until_available(attempt, "kafka", SETTINGS, Event(), reporting)
