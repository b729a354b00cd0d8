"""ASGI middleware that refuses requests: those of other machines and web pages, and bodies too large or too slow.

There are no tokens yet, so the interface listens on loopback only. A browser on this machine can reach loopback for
any web page it shows; so a request must name a loopback host (against DNS rebinding), and one that a page sends must
come from the interface's own pages, or from an origin that is listed (against cross-site requests).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weir.api.limits import Allowance, Limits
from weir.api.outline import SMALL_BYTES
from weir.api.problems import problem, shorten
from weir.settings import is_loopback

_DRAINED = 8  # times the bound
_SHOWN = 200  # characters of a header that an answer repeats


class LoopbackOnly:
    """Answers 403 to requests that name another host than loopback, or come from a web page of an unlisted origin."""

    def __init__(self, app: ASGIApp, origins: Sequence[str] = ()) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refused = self._refusal(scope["headers"]) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await problem(HTTPStatus.FORBIDDEN, refused)(scope, receive, send)

    def _refusal(self, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        given = {name: value.decode("latin-1") for name, value in headers}
        host, origin = given.get(b"host", ""), given.get(b"origin")
        if not _is_loopback_url(f"//{host}"):
            shown = repr(shorten(host, _SHOWN))
            return f"the request is for host {shown}; without tokens only loopback is served: ask 127.0.0.1"
        if origin is not None and origin != f"http://{host}" and origin not in self._origins:
            shown = repr(shorten(origin, _SHOWN))
            return f"the request comes from a page of {shown}, not of http://{host}: list it in WEIR_API_ORIGINS"
        return None


def _is_loopback_url(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


@dataclass(frozen=True)
class _Refusal:
    """Why a body is refused."""

    status: HTTPStatus
    detail: str


class BoundedBody:
    """Reads a body before it is passed on: 413 over its bound, 429 with too many under way, 408 when slow.

    ``held`` counts the bytes of bodies that are held, beyond those of small ones: a client that sends slowly can keep
    other large bodies waiting, no small one.
    """

    def __init__(self, app: ASGIApp, limits: Limits, held: Allowance) -> None:
        self._app = app
        self._limits = limits
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body within the bounds, then pass the request on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        reader = _BodyReader(self._limits, self._held, scope)
        try:
            body = await reader.read(receive)
            if isinstance(body, _Refusal):
                await problem(body.status, body.detail, headers={"Connection": "close"})(scope, receive, send)
            elif body is not None:
                await self._app(scope, _replay(body, receive), send)
        finally:
            reader.give_back()


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that returns the whole body at once."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


class _BodyReader:
    """Reads one body, and takes what it needs of the allowance."""

    def __init__(self, limits: Limits, held: Allowance, scope: Scope) -> None:
        self._limits = limits
        self._held = held
        self._allowed = SMALL_BYTES
        self._body = bytearray()
        self._seen = 0
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        self._refusal = self._admit(int(announced) if announced.isdigit() else limits.body_bytes + 1)

    async def read(self, receive: Receive) -> bytes | _Refusal | None:
        """Return the whole body, or why it is refused; None when the client left.

        A refused body is read all the same, up to a bound, and dropped: a client that is still sending when the
        connection closes would not see the answer.
        """
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while (message := await receive())["type"] == "http.request":
                    self._add(message.get("body", b""))
                    if not message.get("more_body", False) or self._seen > _DRAINED * self._limits.body_bytes:
                        return self._refusal or bytes(self._body)
        except TimeoutError:
            return self._refusal or _Refusal(
                HTTPStatus.REQUEST_TIMEOUT,
                f"{self._seen} bytes of the body came within {self._limits.body_seconds:g} s, and not its end: "
                "send it faster, or raise WEIR_API_BODY_SECONDS",
            )
        return None

    def _add(self, part: bytes) -> None:
        self._seen += len(part)
        self._refusal = self._refusal or self._admit(self._seen)
        if self._refusal is None:
            self._body += part
        else:
            self._body.clear()

    def _admit(self, size: int) -> _Refusal | None:
        """Take what a body of ``size`` needs more of the allowance."""
        if size > self._limits.body_bytes:
            return _Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the body is longer than {self._limits.body_bytes} bytes; send fewer items a request",
            )
        if size > self._allowed:
            if not self._held.take(size - self._allowed):
                return _Refusal(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    f"bodies under way have {self._held.limit} bytes, as many as may: "
                    "send fewer at once, or raise WEIR_API_BODIES_BYTES",
                )
            self._allowed = size
        return None

    def give_back(self) -> None:
        """Release what was taken, once the request is answered."""
        self._held.give_back(self._allowed - SMALL_BYTES)
