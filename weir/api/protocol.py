"""HTTP/1.1 of uvicorn, with a bound on the time that a client takes for the headers of a request.

A connection that sends nothing, or a byte now and then, costs a file descriptor; there are some thousand of them.
"""

import asyncio
from functools import partial
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from weir.api.problems import problem

MAX_WAITING = 256  # connections without a complete request; the oldest is closed for one more


def protocol(header_seconds: float) -> Any:
    """Return what uvicorn calls for each connection; those of one server share the bound of waiting ones."""
    return partial(_Protocol, header_seconds=header_seconds, waiting={})


class _Protocol(H11Protocol):
    """``waiting`` are the connections whose headers are incomplete, oldest first."""

    def __init__(self, *arguments: Any, header_seconds: float, waiting: "dict[_Protocol, None]", **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._header_seconds = header_seconds
        self._waiting = waiting
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            self.transport.close()  # its request is answered: nothing reads the rest of the body, or waits for it
        if self.conn.their_state is h11.IDLE:
            self._wait()
        else:
            self._end_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        """Start the timer, unless it runs."""
        if self._timer is not None or self.transport.is_closing():
            return
        self._timer = self.loop.call_later(
            self._header_seconds,
            self._time_out,
            f"the headers of a request did not come within {self._header_seconds:g} s",
        )
        self._waiting[self] = None
        if len(self._waiting) > MAX_WAITING:
            next(iter(self._waiting))._time_out(f"{MAX_WAITING} connections wait for the headers of a request")

    def _end_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            del self._waiting[self]

    def _time_out(self, reason: str) -> None:
        self._end_waiting()
        if not self.transport.is_closing():
            self.transport.write(_too_slow(reason))
            self.transport.close()


def _too_slow(reason: str) -> bytes:
    answer = problem(HTTPStatus.REQUEST_TIMEOUT, f"{reason}: send them at once", headers={"Connection": "close"})
    lines = [b"%s: %s" % pair for pair in answer.raw_headers]
    return b"\r\n".join([b"HTTP/1.1 408 Request Timeout", *lines, b"", bytes(answer.body)])
