"""Work runs for the length of a block, and its error reaches the block."""

from threading import Event

import pytest
from structlog.testing import capture_logs

from importance.errors import Unavailable
from weir.process.background import Attempts, Background


def test_work_is_stopped_at_the_end_of_the_block() -> None:
    stop, ended = Event(), Event()

    def work() -> None:
        stop.wait()
        ended.set()

    with Background("work", work, stop.set) as background:
        assert background.alive
    assert ended.is_set()
    assert not background.alive


def test_an_error_is_there_for_the_block_to_check_and_raised_at_its_end() -> None:
    failed = Event()

    def work() -> None:
        try:
            raise OSError("disk full")
        finally:
            failed.set()

    with pytest.raises(OSError, match="disk full"), Background("work", work, lambda: None):
        assert failed.wait(30)


def test_the_error_of_a_block_has_precedence_and_that_of_the_work_is_logged() -> None:
    failure = OSError("disk full")

    def work() -> None:
        raise failure

    with (
        capture_logs() as lines,
        pytest.raises(ValueError, match="of the block"),
        Background("work", work, lambda: None),
    ):
        raise ValueError("of the block")
    assert [(line["work"], line["exc_info"]) for line in lines] == [("work", failure)]


def test_work_that_does_not_end_delays_the_block_for_a_bounded_time() -> None:
    release = Event()
    with Background("work", release.wait, lambda: None, join_seconds=0.01) as background:
        pass
    assert background.alive
    release.set()


def test_an_attempt_logs_an_error_once_while_it_stays_the_same() -> None:
    attempt = Attempts("work")
    errors: list[Exception] = [OSError("a"), OSError("a"), Unavailable("refused"), OSError("b")]

    def call() -> None:
        raise errors.pop(0)

    with capture_logs() as lines:
        for _ in range(4):
            attempt(call)
    assert [str(line["exc_info"]) for line in lines] == ["a", "b"]
