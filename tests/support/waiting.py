"""Wait for a state of another process that no event reports."""

import time
from collections.abc import Callable

TIMEOUT_SECONDS = 240.0
_PAUSE_SECONDS = 0.05


def until(what: str, holds: Callable[[], bool], seconds: float = TIMEOUT_SECONDS) -> None:
    """Poll ``holds`` until it is true; fail with ``what`` after ``seconds``, a bound for a hanging test only."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"after {seconds:g} s still without {what}"
        time.sleep(_PAUSE_SECONDS)
