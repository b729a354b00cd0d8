"""How commands print, and how long work shows itself."""

import io
from typing import Any

from weir.cli.output import columns
from weir.demo.progress_bar import Progress


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


def test_progress_is_a_bar_with_the_remaining_time_on_a_terminal() -> None:
    out, clock = Terminal(), Clock()
    progress = Progress(out, clock)
    progress.show("training", 0, 200)
    clock.now = 10.0
    progress.show("training", 50, 200)
    clock.now = 20.0
    progress.show("training", 100, 200)
    progress.close()
    assert "training" in out.getvalue()
    assert "100 of 200 (50 %)" in out.getvalue()
    assert "00:20" in out.getvalue()  # 100 more at 5 a second


def test_work_without_a_known_end_shows_its_amount_on_a_terminal() -> None:
    out = Terminal()
    progress = Progress(out, Clock())
    progress.show("downloading", 5_000)
    progress.show("training", 0, 10)
    progress.close()
    assert "5,000" in out.getvalue()
    assert "0 of 10 (0 %)" in out.getvalue()


def test_an_unchanged_line_is_not_repeated() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock)
    for second in range(0, 60, 5):
        clock.now = float(second)
        progress.show("replaying", 1_000)
    assert out.getvalue().splitlines() == ["replaying: 1,000"]


def test_progress_is_a_plain_line_now_and_then_elsewhere() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock)
    for second in range(21):
        clock.now = float(second)
        progress.show("replaying", second * 1_000)
    progress.close()
    assert out.getvalue().splitlines() == ["replaying: 0", "replaying: 10,000", "replaying: 20,000"]
