"""Who may ask, and how much: requests from this machine's own programs, of bounded size. Plain ASGI.

There are no tokens yet, so the interface listens on loopback only. A browser on this machine can reach loopback for
any web page it shows; so a request must name a loopback host (against DNS rebinding), and one that a page sends must
come from a loopback page (against cross-site requests).
"""

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weir.api.problems import problem
from weir.settings import is_loopback

MAX_BODY_BYTES = 16 * 1024 * 1024  # the most items, each of 16 KB
_DRAINED = 8  # times the bound


class LoopbackOnly:
    """Answers 403 to what names another host than loopback, or comes from a page of another origin."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refused = _refusal(scope["headers"]) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await problem(HTTPStatus.FORBIDDEN, refused)(scope, receive, send)


def _refusal(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    given = {name: value.decode("latin-1") for name, value in headers}
    host, origin = given.get(b"host", ""), given.get(b"origin")
    if not _is_loopback_url(f"//{host}"):
        return f"the request is for host {host!r}; without tokens only loopback is served: ask 127.0.0.1"
    if origin is not None and not _is_loopback_url(origin):
        return f"the request comes from a page of {origin!r}; without tokens only loopback pages may ask"
    return None


def _is_loopback_url(url: str) -> bool:
    try:
        return is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        return False


class BoundedBody:
    """Answers 413 to a body over ``limit_bytes``, announced or not."""

    def __init__(self, app: ASGIApp, limit_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body within the bound, then pass the request on."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        body = await self._body(scope, receive)
        if body is None:
            detail = f"the body is longer than {self._limit_bytes} bytes; send fewer items a request"
            await problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail, headers={"Connection": "close"})(
                scope, receive, send
            )
            return
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        """The whole body, or None when it is over the bound.

        What is too much is read all the same, up to a point, and dropped: a client that is still sending when the
        connection closes would not see the answer.
        """
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        fits = announced.isdigit() and int(announced) <= self._limit_bytes
        body, seen = bytearray(), 0
        while True:
            message = await receive()
            part = message.get("body", b"")
            seen += len(part)
            fits = fits and seen <= self._limit_bytes
            if fits:
                body += part
            if not message.get("more_body", False) or seen > _DRAINED * self._limit_bytes:  # a disconnect ends it too
                return bytes(body) if fits else None
