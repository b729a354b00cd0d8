"""Ports of this machine: find a free one, refuse one in use, wait for one to answer."""

import random
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable

from importance.errors import InvalidInput, Unavailable

LOOPBACK = "127.0.0.1"
# Below the ephemeral ports of Linux and macOS: while a server is down, a client that retries on an ephemeral port could
# get the same number as its own port, connect to itself, and keep the server from starting again.
FIRST, LAST = 20_000, 32_000


def free_port(choose: random.Random | None = None) -> int:
    """Return a port that no process listens on at this moment."""
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


def refuse_taken(host: str, port: int, setting: str) -> None:
    """Raise InvalidInput when the port is in use, or the address cannot be listened on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidInput(
                f"{setting} is {port}, and {host}:{port} cannot be listened on: {error.strerror}; choose another one, "
                "or 0 for a free one"
            ) from error


def answers(url: str, timeout_seconds: float = 0.5) -> bool:
    """Return whether a GET request of ``url`` succeeds; a certificate is not verified, as it has another name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=timeout_seconds, context=context):  # noqa: S310 -- the address is our own
            return True
    except OSError:
        return False


def until(ready: Callable[[], bool], gone: Callable[[], bool], timeout_seconds: float) -> bool:
    """Poll until ``ready``; return False when the server is ``gone`` or the time is over."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if gone() or time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
