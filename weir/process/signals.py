"""Handle signals for the length of a block."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    """Install ``handler`` for these signals, and restore the previous handlers. Main thread only."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def hangup() -> tuple[signal.Signals, ...]:
    """Return SIGHUP unless it is ignored: under ``nohup`` a process must outlive its terminal."""
    return () if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else (signal.SIGHUP,)


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` at SIGINT or SIGTERM; the second one ends the process at once."""
    asked = False

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked = True
        stop()

    with handled(on_signal, signal.SIGINT, signal.SIGTERM):
        yield


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, as Ctrl-C does, so that SIGTERM leaves nothing half written, either."""
    raise KeyboardInterrupt
