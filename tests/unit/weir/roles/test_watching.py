"""A watch polls on, whatever happens to a poll, and reports changes alone."""

from collections.abc import Iterator
from queue import Queue

from importance.errors import Unavailable
from tests.support.waiting import TIMEOUT_SECONDS
from weir.roles.watching import Watch


def test_changes_are_reported_and_a_poll_that_could_not_ask_is_none() -> None:
    answers: Iterator[str | Exception | None] = iter([None, None, Unavailable("refused"), "no answer", None])
    reported: Queue[tuple[bool, str]] = Queue()

    def ask() -> str | None:
        answer = next(answers, None)
        if isinstance(answer, Exception):
            raise answer
        return answer

    with Watch("storage", ask, lambda *change: reported.put(change)):
        found = [reported.get(timeout=TIMEOUT_SECONDS) for _ in range(3)]
    assert found == [(True, ""), (False, "no answer"), (True, "")]


def test_a_watch_survives_whatever_a_poll_or_a_report_raises() -> None:
    troubles: Iterator[str | None] = iter([None, "no answer"])
    reported: Queue[bool] = Queue()
    of_polls, of_reports = iter([OSError("no selector")]), iter([ValueError("a bug in a report")])

    def ask() -> str | None:
        for error in of_polls:
            raise error
        return next(troubles, None)

    def notify(available: bool, _: str) -> None:
        reported.put(available)
        for error in of_reports:
            raise error

    with Watch("storage", ask, notify):
        assert reported.get(timeout=TIMEOUT_SECONDS) is True
        assert reported.get(timeout=TIMEOUT_SECONDS) is False
        assert reported.get(timeout=TIMEOUT_SECONDS) is True
