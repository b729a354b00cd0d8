"""Who asks: the holder of a token, with what it permits. Independent of routes and of the server.

All tokens are read at once and kept for `KEPT_SECONDS`, so a revocation acts within that time, and neither requests nor
guesses cost a query each. A token that is not among them is looked for once more, as it may have been created since.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address, ip_network
from math import ceil, inf
from time import monotonic
from typing import Protocol

from fastapi.concurrency import run_in_threadpool

from importance.errors import Unavailable, WeirError
from storage.tokens import Role, Token, digest

KEPT_SECONDS = 3.0
_USED_SECONDS = 60.0  # between two records that a token is used
_WINDOW_SECONDS = 60.0
_MAX_ADDRESSES = 10_000
_HIDDEN = "the tokens cannot be read now: try again; the log of the api has the reason"  # who asks is not known yet

# Who may call a route by the role that it is declared with. A scorer reads nothing, a viewer scores nothing.
PERMITTED = {
    Role.VIEWER: frozenset((Role.VIEWER, Role.OPERATOR)),
    Role.SCORER: frozenset((Role.SCORER, Role.OPERATOR)),
    Role.OPERATOR: frozenset((Role.OPERATOR,)),
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from: ``name`` is the actor of its changes. ``token`` None: there are no tokens yet."""

    name: str
    role: Role
    token: Token | None = None

    def require(self, needed: Role) -> None:
        """Raise Forbidden unless a route that is declared with ``needed`` may be called."""
        if self.role not in PERMITTED[needed]:
            raise Forbidden(self, needed)


ANYONE = Caller("http", Role.OPERATOR)  # on loopback, before the first token


class Forbidden(WeirError):
    """A caller whose role does not permit a route that needs the role ``needed``."""

    def __init__(self, caller: Caller, needed: Role) -> None:
        super().__init__(f"this needs the role {needed}, and the token {caller.name} has the role {caller.role}")
        self.needed = needed


class Unauthorized(WeirError):
    """A request without a valid token; ``presented`` when it had one."""

    def __init__(self, detail: str, *, presented: bool) -> None:
        super().__init__(detail)
        self.presented = presented


class TooManyFailures(WeirError):
    """A client that has presented wrong tokens too often, and may try again after some seconds."""

    def __init__(self, limit: int, seconds: float) -> None:
        super().__init__(
            f"{limit} authentications of this address have failed within a minute, as many as may "
            f"(WEIR_API_AUTH_FAILURES): wait {ceil(seconds)} s, or send a valid token"
        )
        self.retry_seconds = ceil(seconds)


class Failures:
    """Counts failed authentications by client in a sliding minute, for the last 10,000 clients. Not thread-safe.

    A client is an address of IPv4, or a network of 64 bits of IPv6, of which one machine has all addresses.

    >>> now = 0.0
    >>> failures = Failures(2, clock=lambda: now)
    >>> [failures.add(address) for address in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "10.0.0.1")]
    [None, None, 60.0, None]
    >>> now = 61.0
    >>> failures.add("2001:db8::3") is None
    True
    """

    def __init__(self, limit: int, clock: Callable[[], float] = monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._times: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, address: str) -> float | None:
        """Count a failure, and return None; at the limit count nothing, and return the seconds until one may fail."""
        now, client = self._clock(), _client(address)
        times = self._times.setdefault(client, deque(maxlen=self.limit))
        self._times.move_to_end(client)
        if len(self._times) > _MAX_ADDRESSES:
            self._times.popitem(last=False)
        if len(times) == self.limit and (left := times[0] + _WINDOW_SECONDS - now) > 0:
            return left
        times.append(now)
        return None


def _client(address: str) -> str:
    try:
        found = ip_address(address)
    except ValueError:
        return address
    client = getattr(found, "ipv4_mapped", None) or found  # as a socket of both versions names one of IPv4
    return str(ip_network((client, 64), strict=False)) if client.version == 6 else str(client)


class TokenStore(Protocol):
    """Where tokens are: see `storage.tokens.Tokens`."""

    def by_digest(self) -> Mapping[bytes, Token]:
        """Return tokens by their digest; none only where none was ever created."""
        ...

    def used(self, ids: Sequence[int]) -> None:
        """Record that tokens are used now."""
        ...

    def now(self) -> datetime:
        """Return the time by which tokens expire."""
        ...


class Access:
    """Finds out who asks. For the event loop of one server.

    With ``exposed`` (the server can be reached from other machines) there is no access without a token, not even before
    the first one was created. ``failures`` a minute may fail by client.
    """

    def __init__(
        self, tokens: TokenStore, *, exposed: bool, failures: int = 10, clock: Callable[[], float] = monotonic
    ) -> None:
        self._tokens = tokens
        self.exposed = exposed
        self._failures = Failures(failures, clock)
        self._clock = clock
        self._known: Mapping[bytes, Token] | None = None
        self._trouble: str | None = None
        self._asked = -inf
        self._asking = asyncio.Lock()
        self._used: dict[int, float] = {}

    async def caller(self, authorization: str | None, address: str) -> Caller:
        """Return who sends this header from this address.

        Raises Unauthorized, TooManyFailures, or Unavailable while Postgres does not answer. A valid token is not
        refused because of the failures of others at its address.
        """
        await self._read(KEPT_SECONDS)
        if self._is_open():
            return ANYONE
        if authorization is None:
            raise Unauthorized("it needs a token: send the header Authorization: Bearer TOKEN", presented=False)
        scheme, _, given = authorization.partition(" ")
        hashed = digest(given.strip()) if scheme.lower() == "bearer" else b""
        token = self._find(hashed)
        if token is None or not self._is_live(token):
            if (seconds := self._failures.add(address)) is not None:
                raise TooManyFailures(self._failures.limit, seconds)
            await self._read(0)
            token = self._find(hashed)
        if token is None:
            raise Unauthorized("the token is unknown: ask an operator for another one", presented=True)
        if not self._is_live(token):
            ended = "was revoked" if token.revoked else "has expired"
            raise Unauthorized(f"the token {token.name} {ended}: ask an operator for another one", presented=True)
        await self._note_use(token)
        return Caller(token.name, token.role, token)

    async def still(self, caller: Caller) -> bool:
        """Return whether a caller of before has access now; unchanged while Postgres is unavailable."""
        with suppress(Unavailable):
            await self._read(KEPT_SECONDS)
        if caller.token is None:
            return self._is_open()
        return any(token.id == caller.token.id and self._is_live(token) for token in (self._known or {}).values())

    def _is_open(self) -> bool:
        """Return whether no token was ever created. One that was revoked or has expired opens nothing."""
        return not self.exposed and self._known is not None and not self._known

    def _find(self, hashed: bytes) -> Token | None:
        """Look a token up by its hash: the time that takes depends on nothing that a client could approach."""
        return (self._known or {}).get(hashed)

    def _is_live(self, token: Token) -> bool:
        return token.is_live(self._tokens.now())

    async def _read(self, kept_seconds: float) -> None:
        """Read the tokens, unless a reading started within ``kept_seconds`` before this call. One at a time.

        While they are read again, requests use those of before; while they are read first, there are none to use.
        """
        wanted = self._clock() - kept_seconds
        if self._asked <= wanted or self._is_first():
            async with self._asking:
                if self._asked <= wanted or self._is_first():  # else another request has read them meanwhile
                    await self._read_now()
        if self._trouble is not None and not self._is_open():
            raise Unavailable(_HIDDEN if self.exposed else self._trouble)

    def _is_first(self) -> bool:
        return self._known is None and self._trouble is None

    async def _read_now(self) -> None:
        before, self._asked = self._asked, self._clock()
        try:
            self._known = await run_in_threadpool(self._tokens.by_digest)
        except Unavailable as error:
            self._trouble = str(error)
        except BaseException:  # cancelled, as at the end of a stream: the next request reads
            self._asked = before
            raise
        else:
            self._trouble = None

    async def _note_use(self, token: Token) -> None:
        now = self._clock()
        if now - self._used.get(token.id, -inf) >= _USED_SECONDS:
            self._used[token.id] = now
            with suppress(Unavailable):  # the time of the last use is not worth refusing a request
                await run_in_threadpool(self._tokens.used, [token.id])
