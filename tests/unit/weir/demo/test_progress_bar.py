"""Progress on a terminal and elsewhere; a test moves the clock."""

import io

from weir.demo.progress_bar import Progress


class Terminal(io.StringIO):
    """A stream that counts as a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """Seconds, set by the test."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


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


def test_progress_is_a_line_every_ten_seconds_elsewhere() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock)
    for second in range(21):
        clock.now = float(second)
        progress.show("replaying", second * 1_000)
    progress.close()
    assert out.getvalue().splitlines() == ["replaying: 0", "replaying: 10,000", "replaying: 20,000"]


def test_the_first_line_of_a_task_and_its_last_are_printed_at_once() -> None:
    out, clock = io.StringIO(), Clock()
    progress = Progress(out, clock)
    for task in ("downloading", "training"):
        for done in range(3):
            progress.show(task, done, 2)
    assert out.getvalue().splitlines() == [
        "downloading: 0 of 2 (0 %)",
        "downloading: 2 of 2 (100 %)",
        "training: 0 of 2 (0 %)",
        "training: 2 of 2 (100 %)",
    ]
