"""What stands still is noticed; what merely was not there is not."""

import queue

from stream.watchdog import Stillness, Watchdog
from tests.support.waiting import TIMEOUT_SECONDS


def checks(max_checks: int, *markers: dict[str, object]) -> list[str | None]:
    still = Stillness(max_checks)
    return [still.check(marker) for marker in markers]


def test_a_mark_that_moves_is_never_still() -> None:
    assert checks(1, {"a": 1}, {"a": 2}, {"a": 1}) == [None, None, None]


def test_a_mark_is_still_after_as_many_equal_looks_as_patience_allows() -> None:
    assert checks(3, *[{"a": 1}] * 4) == [None, None, None, "a"]


def test_a_mark_that_was_gone_begins_again() -> None:
    assert checks(2, {"a": 1}, {"a": 1}, {}, {"a": 1}, {"a": 1}) == [None] * 5


def test_the_watchdog_names_what_hangs_once() -> None:
    told: queue.Queue[str] = queue.Queue()
    watchdog = Watchdog(lambda: {"partition 3": 5}, told.put, timeout_seconds=0.03, interval_seconds=0.01)
    watchdog.start()
    assert told.get(timeout=TIMEOUT_SECONDS) == "partition 3"
    watchdog.join(timeout=TIMEOUT_SECONDS)
    assert told.empty()


def test_an_ended_watchdog_is_silent() -> None:
    told: queue.Queue[str] = queue.Queue()
    watchdog = Watchdog(lambda: {"a": 1}, told.put, timeout_seconds=1e6)
    watchdog.start()
    watchdog.end()
    watchdog.join(timeout=TIMEOUT_SECONDS)
    assert told.empty()
