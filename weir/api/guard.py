"""ASGI middleware that refuses requests: for unknown hosts, of other pages, without a token, too large or too slow.

Before the first token was created, the interface is open, on loopback only. A browser on this machine can reach
loopback for any web page it shows; so a request must name a known host (against DNS rebinding), and one that a page
sends must come from the interface's own pages, or from an origin that is listed (against cross-site requests).
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from importance.errors import Unavailable, WeirError
from weir.api.access import Access, Caller, Forbidden, TooManyFailures, Unauthorized
from weir.api.limits import Allowance, Limits
from weir.api.outline import SMALL_BYTES
from weir.api.permissions import CALLER, Routers
from weir.api.problems import problem, shorten
from weir.settings import is_loopback

_DRAINED = 8  # times the bound
_SHOWN = 200  # characters of a header that an answer repeats
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
_OPEN = ("/healthz", "/readyz")


class KnownHosts:
    """Answers 403 to requests that name an unknown host, or come from a web page of an unlisted origin.

    ``hosts`` are known in addition to loopback; None: any is, where a token is needed, which no page knows. The probes
    are answered under any name, as an orchestrator asks by the address of a pod.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None = (), origins: Sequence[str] = ()) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(map(str.lower, hosts))
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        refused = self._refusal(scope["path"], scope["headers"]) if scope["type"] == "http" else None
        if refused is None:
            await self._app(scope, receive, send)
        else:
            await problem(HTTPStatus.FORBIDDEN, refused)(scope, receive, send)

    def _refusal(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> str | None:
        given = {name: value.decode("latin-1") for name, value in headers}
        host, origin = given.get(b"host", ""), given.get(b"origin")
        if path not in _OPEN and not self._is_known(host):
            shown = repr(shorten(host, _SHOWN))
            return f"the request is for host {shown}: ask 127.0.0.1, or list the host in WEIR_API_ALLOWED_HOSTS"
        if origin is not None and origin not in (f"http://{host}", f"https://{host}", *self._origins):
            shown = repr(shorten(origin, _SHOWN))
            return f"the request comes from a page of {shown}, not of {host}: list it in WEIR_API_ORIGINS"
        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return self._hosts is None or is_loopback(name) or name in self._hosts


class Authenticated:
    """Finds out who asks, before a body is read: 401 without a valid token, 429 after too many wrong ones.

    403 where the role of the token does not permit the route. ``/healthz`` and ``/readyz`` are answered to all.
    """

    def __init__(self, app: ASGIApp, access: Access, routers: Routers) -> None:
        self._app = app
        self._access = access
        self._routers = routers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its caller, or refuse it."""
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        header: bytes | None = dict(scope["headers"]).get(b"authorization")
        authorization = None if header is None else header.decode("latin-1")
        address = scope["client"][0] if scope["client"] else ""
        try:
            scope[CALLER] = caller = await self._access.caller(authorization, address)
            self._require_role(caller, scope)
        except (Unauthorized, Forbidden, TooManyFailures, Unavailable) as error:
            await _refused(error, scope["method"])(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _require_role(self, caller: Caller, scope: Scope) -> None:
        """Raise Forbidden unless the caller may call the route, which the refusal is then counted for."""
        if (found := self._routers.match(scope)) is None:
            return  # answered by 404 or 405
        scope["route"], needed = found
        if needed is not None:
            caller.require(needed)


def _refused(error: WeirError, method: str) -> Response:
    """Return the answer to who has no access; a connection whose body is not read is closed."""
    headers = {} if method in _WITHOUT_BODY else {"Connection": "close"}
    match error:
        case Unauthorized():
            invalid = ', error="invalid_token"' if error.presented else ""
            headers["WWW-Authenticate"] = f'Bearer realm="weir"{invalid}'
            return problem(HTTPStatus.UNAUTHORIZED, str(error), headers=headers)
        case Forbidden():
            headers["WWW-Authenticate"] = f'Bearer realm="weir", error="insufficient_scope", scope="{error.needed}"'
            return problem(HTTPStatus.FORBIDDEN, str(error), headers=headers)
        case TooManyFailures():
            headers["Retry-After"] = str(error.retry_seconds)
            return problem(HTTPStatus.TOO_MANY_REQUESTS, str(error), headers=headers)
    return problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers=headers)


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
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
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
