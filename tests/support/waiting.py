"""Wait for a state of another process that no event reports."""

import asyncio
import time
from collections.abc import Callable

TIMEOUT_SECONDS = (
    240.0  # for a hanging test only: a worker takes 15 s of a core to start, and several may start at once
)
_PAUSE_SECONDS = 0.05


def until(
    what: str,
    holds: Callable[[], bool],
    seconds: float = TIMEOUT_SECONDS,
    state: Callable[[], object] = lambda: "",
) -> None:
    """Poll ``holds`` until it is true; fail with ``what`` and the present ``state`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not holds():
        _check(deadline, what, seconds, state)
        time.sleep(_PAUSE_SECONDS)


async def eventually(
    what: str,
    holds: Callable[[], bool],
    seconds: float = TIMEOUT_SECONDS,
    state: Callable[[], object] = lambda: "",
) -> None:
    """Do as ``until`` does, with ``holds`` in a thread, while the event loop runs on."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(holds):
        _check(deadline, what, seconds, state)
        await asyncio.sleep(_PAUSE_SECONDS)


def _check(deadline: float, what: str, seconds: float, state: Callable[[], object]) -> None:
    assert time.monotonic() < deadline, f"after {seconds:g} s still without {what}; {state()}"
