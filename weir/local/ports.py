"""Free ports on the loopback interface, and waiting for one to answer."""

import random
import socket
import time
from collections.abc import Callable

from importance.errors import Unavailable

LOOPBACK = "127.0.0.1"
# Below the ports that Linux and macOS hand out to clients: while a server is away, a client that retries on such a
# port could be given the very same one as its own, connect to itself, and keep the server from coming back.
FIRST, LAST = 20_000, 32_000


def free_port(choose: random.Random | None = None) -> int:
    """A port that nobody listens on at this moment."""
    choose = choose or random.Random()  # noqa: S311 -- spreads concurrent callers, no secret
    for _ in range(1000):
        port = choose.randint(FIRST, LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return port
    raise Unavailable(f"no free port between {FIRST} and {LAST} on {LOOPBACK} in 1000 tries: end what holds them")


def until(ready: Callable[[], bool], gone: Callable[[], bool], timeout_seconds: float) -> bool:
    """Poll until ``ready``; False when the server is ``gone`` or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if gone() or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
