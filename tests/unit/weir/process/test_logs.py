"""Logs: one JSON object a line, secrets never."""

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from weir.process import logs


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    for room in logs.PACKAGES:
        logging.getLogger(room).setLevel(logging.NOTSET)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_elsewhere_than_on_a_terminal_each_line_is_one_json_object() -> None:
    out = io.StringIO()
    logs.configure("info", "worker", out=out)
    logs.logger("weir.roles").info("partition assigned", partition=3)
    (line,) = lines(out)
    assert line.pop("timestamp")
    assert line == {
        "event": "partition assigned", "level": "info", "logger": "weir.roles", "role": "worker", "partition": 3,
    }  # fmt: skip


def test_on_a_terminal_a_line_is_for_people() -> None:
    out = Terminal()
    logs.configure("info", "worker", out=out)
    logs.logger().info("partition assigned", partition=3)
    assert "partition assigned" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_libraries_are_heard_from_warnings_on_and_our_rooms_from_the_level_set() -> None:
    out = io.StringIO()
    logs.configure("info", out=out)
    logging.getLogger("aiokafka").info("not heard")
    logging.getLogger("aiokafka").warning("heard %s", "too")
    logging.getLogger("stream.agent").info("our own")
    logging.getLogger("stream.agent").debug("not heard")
    assert [line["event"] for line in lines(out)] == ["heard too", "our own"]


def test_an_exception_is_part_of_its_line() -> None:
    out = io.StringIO()
    logs.configure("info", out=out)
    try:
        raise ValueError("of three lines\nof three lines\nof three lines")
    except ValueError:
        logs.logger().exception("failed")
    (line,) = lines(out)
    assert "ValueError: of three lines" in str(line["exception"])


def test_warnings_of_python_are_lines_too() -> None:
    out = io.StringIO()
    logs.configure("info", out=out)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("something is old", stacklevel=1)
        logging.captureWarnings(False)
    assert "something is old" in str(lines(out)[0]["event"])


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()])
def test_secrets_are_masked_whatever_brings_them_into_a_line(out: io.StringIO) -> None:
    secrets = ["hunter22", 'quo"ted', "p%40ss"]
    logs.configure("info", secrets=secrets, out=out)
    log = logs.logger()
    log.info("key", salt="hunter22", note='a quo"ted one')
    log.info("in the middle: xhunter22x", url="postgresql://ann:p%40ss@db/weir")
    log.info("one nobody told us of", url="postgresql://ann:never-told@db/weir")
    logging.getLogger("psycopg").warning("cannot connect to %s", "host=db password=hunter22")
    try:
        raise RuntimeError("hunter22")
    except RuntimeError:
        log.exception("failed")
    text = out.getvalue()
    assert text.count("***") >= 6
    for secret in (*secrets, 'quo\\"ted', "never-told"):
        assert secret not in text


def test_what_a_library_repeats_is_said_once_a_minute_with_its_number_and_our_own_lines_always() -> None:
    out, now = io.StringIO(), [0.0]
    logs.configure(role="worker", out=out, clock=lambda: now[0])
    for seconds in (0, 1, 59, 60, 61):
        now[0] = float(seconds)
        logging.getLogger("aiokafka").error("Unable connect to node with id %s", 1)
        logs.logger("weir.roles").info("still here")
    logging.getLogger("aiokafka").error("Unable connect to node with id %s", 2)
    said = [line["event"] for line in lines(out) if line["logger"] == "aiokafka"]
    assert said == [
        "Unable connect to node with id 1",
        "Unable connect to node with id 1 (repeated 2 times since)",
        "Unable connect to node with id 2",
    ]
    assert sum(line["event"] == "still here" for line in lines(out)) == 5


def test_the_lines_of_libraries_that_are_remembered_are_bounded() -> None:
    out = io.StringIO()
    logs.configure(out=out, clock=lambda: 0.0)
    for number in (*range(1_001), 0):
        logging.getLogger("aiokafka").warning("correlation %s", number)
    assert [line["event"] for line in lines(out)].count("correlation 0") == 2
