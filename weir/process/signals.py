"""Signals that are handled for a while, and then as they were."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None], *numbers: signal.Signals) -> Iterator[None]:
    """Let ``handler`` have these signals. For the main thread only, as Python allows."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """What Ctrl-C does, so that a request to end leaves nothing half written, either."""
    raise KeyboardInterrupt
