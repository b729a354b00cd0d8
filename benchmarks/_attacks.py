"""What one client can do to the HTTP interface. Only the standard library: it runs in a process of its own."""

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

_HOST = "127.0.0.1"
_TIMEOUT_SECONDS = 300
_MAX_BODY_BYTES = 16 * 1024 * 1024
_ITEMS, _TEXT_CHARACTERS = 1_000, 8_192  # the bounds of a ranking
_SLOW_HEADERS, _SLOW_BODIES, _SLOW_SECONDS = 400, 40, 60.0


@dataclass(frozen=True)
class Answer:
    """Status and size of the response; status 0 when the connection broke."""

    status: int
    size_bytes: int


@dataclass(frozen=True)
class Attack:
    """A name to show, and what is done to the interface at a port."""

    name: str
    run: Callable[[int], list[Answer]]


def unknown_keys(port: int) -> list[Answer]:
    """Send a body of a million unknown fields, five times."""
    body = b"{" + b",".join(b'"k%d":0' % number for number in range(1_000_000)) + b"}"
    return [_post(port, "/v1/score", body) for _ in range(5)]


def bodies_in_flight(port: int) -> list[Answer]:
    """Let 45 clients send a maximal body at the same time, without a retry."""
    body = _maximal()
    with ThreadPoolExecutor(45) as clients:
        return list(clients.map(lambda _: _post(port, "/v1/rank", body), range(45)))


def slow_clients(port: int) -> list[Answer]:
    """Let clients send a byte a second: 400 of them their headers, 40 a body that is announced as maximal."""
    head = b"POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    body = b"%sContent-Length: %d\r\n\r\n" % (head, _MAX_BODY_BYTES)
    with ThreadPoolExecutor(_SLOW_HEADERS + _SLOW_BODIES) as clients:
        starts = [head + b"X-Slow: "] * _SLOW_HEADERS + [body] * _SLOW_BODIES
        return list(clients.map(lambda start: _send_slowly(port, start), starts))


def maximal_requests(port: int) -> list[Answer]:
    """Send 45 maximal valid requests, four at a time, each again until it is answered with 200."""
    body = _maximal()

    def ask(_: int) -> Answer:
        while (answer := _post(port, "/v1/rank", body)).status == 429:
            time.sleep(1)  # as in Retry-After
        return answer

    with ThreadPoolExecutor(4) as clients:
        return list(clients.map(ask, range(45)))


ATTACKS = (
    Attack("1,000,000 unknown keys, 5 times", unknown_keys),
    Attack("45 maximal bodies in flight", bodies_in_flight),
    Attack("400 slow headers, 40 slow bodies", slow_clients),
    Attack("45 maximal requests, 4 at a time", maximal_requests),
)


def _maximal() -> bytes:
    """A valid ranking, as large as a body may be."""
    items = [{"item": str(number), "text": "é" * (_TEXT_CHARACTERS - 40)} for number in range(_ITEMS)]
    body = json.dumps({"query": "lamp", "surface": "ad", "items": items}, ensure_ascii=False).encode()
    return body + b" " * (_MAX_BODY_BYTES - len(body))


def _post(port: int, path: str, body: bytes) -> Answer:
    connection = HTTPConnection(_HOST, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return Answer(answer.status, len(answer.read()))
    except (OSError, HTTPException):
        return Answer(0, 0)
    finally:
        connection.close()


def _send_slowly(port: int, start: bytes) -> Answer:
    """Send a byte a second until the server answers; status 0 where it only closes, or waits for all of it."""
    deadline = time.monotonic() + _SLOW_SECONDS
    content = b""
    with suppress(OSError), socket.create_connection((_HOST, port), timeout=_TIMEOUT_SECONDS) as connection:
        connection.sendall(start)
        connection.settimeout(1)
        while time.monotonic() < deadline:
            try:
                part = connection.recv(65_536)
            except TimeoutError:
                connection.sendall(b"x")
                continue
            if not part:
                break
            content += part
    status = int(content.split(maxsplit=2)[1]) if content.startswith(b"HTTP/1.1 ") else 0
    return Answer(status, len(content))
