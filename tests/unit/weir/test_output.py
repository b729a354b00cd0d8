"""How commands print, and how long work shows itself."""

import io
from typing import Any

from weir.cli.output import columns
from weir.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_columns_line_up_and_the_last_may_be_long() -> None:
    rows: list[tuple[Any, ...]] = [("a", True, 0.1234567891), ("longer", None, "text with words")]
    assert columns(("name", "is", "what"), rows).splitlines() == [
        "name    is   what",
        "a       yes  0.123457",
        "longer  -    text with words",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert columns(("name", "items"), []) == "name  items"


def test_progress_is_one_moving_line_on_a_terminal() -> None:
    out, clock = Terminal(), Clock()
    progress = Progress(out, clock)
    progress.show("training", 0, 200)
    progress.show("training", 1, 200)  # too soon: not drawn
    clock.now = 1.0
    progress.show("training", 100, 200)
    progress.show("training", 200, 200)  # the end is drawn though it is soon
    progress.close()
    lines = out.getvalue().split("\r\x1b[2K")
    assert lines[0] == ""
    assert [line.partition("] ")[2] for line in lines[1:]] == [
        "training: 0 of 200 (0 %)",
        "training: 100 of 200 (50 %)",
        "training: 200 of 200 (100 %)\n",
    ]
    assert "[" + "#" * 15 + "." * 15 + "]" in lines[2]


def test_another_work_begins_another_line_on_a_terminal() -> None:
    out = Terminal()
    progress = Progress(out, Clock())
    progress.show("downloading", 5, 5)
    progress.show("training", 0, 0)
    assert out.getvalue().count("\n") == 1


def test_progress_is_a_plain_line_now_and_then_elsewhere() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock)
    for second in range(21):
        clock.now = float(second)
        progress.show("replaying", second * 1_000)
    progress.close()
    assert out.getvalue().splitlines() == ["replaying: 0", "replaying: 10,000", "replaying: 20,000"]
