"""Tokens of the HTTP interface: who holds one, what it permits, until when. Stored is a token's hash, never the token.

The hash is one SHA-256. A slow, salted hash protects a password, which can be guessed; a token is 256 random bits, and
trying half of their 2^256 values is out of reach however fast one try is.
"""

import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from time import time
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from importance.errors import Conflict, InvalidInput, NotFound
from storage import audit, tables
from storage.audit import Action, Author
from storage.engine import transaction

PREFIX = "weir_"  # by which scanners of repositories and logs recognise a leaked one
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_BYTES = 32
_USED_SECONDS = 60.0  # the time of the last use is this exact
_ENDED_RECENTLY = timedelta(days=30)


class Role(StrEnum):
    """What a token permits: a viewer reads, a scorer scores and ranks and nothing else, an operator does everything."""

    VIEWER = "viewer"
    SCORER = "scorer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret. ``expires`` None: never; ``last_used`` is exact to a minute."""

    id: int
    name: str
    role: Role
    created: datetime
    created_by: str
    expires: datetime | None
    last_used: datetime | None
    revoked: datetime | None

    def is_live(self, now: datetime) -> bool:
        """Return whether it permits anything at a time."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def digest(token: str) -> bytes:
    """Return what is stored of a token.

    >>> digest("weir_x").hex()[:8]
    'e9eb1904'
    """
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


class Tokens:
    """The tokens. ``clock`` gives seconds since the epoch, ``random`` so many bytes that cannot be predicted."""

    def __init__(
        self,
        engine: sa.Engine,
        clock: Callable[[], float] = time,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._random = random

    def create(self, name: str, role: Role, lifetime: timedelta | None, author: Author) -> tuple[str, Token]:
        """Return a new token's secret, which can be read here only, and what is stored of it.

        ``lifetime`` None: it never expires. Conflict when a live token has the name; an expired one yields it.
        """
        if _NAME.fullmatch(name) is None:
            raise InvalidInput(f"the name of the token is {name!r}; it must be 1 to 64 of A-Z a-z 0-9 . _ - @")
        secret = PREFIX + urlsafe_b64encode(self._random(_BYTES)).decode().rstrip("=")
        row, now = tables.tokens, self.now()
        values = {
            "name": name,
            "role": role,
            "hash": digest(secret),
            "created": now,
            "created_by": author.actor,
            "expires": None if lifetime is None else now + lifetime,
        }
        with transaction(self._engine) as connection:
            connection.execute(
                sa.update(row).where(row.c.name == name, row.c.revoked.is_(None), row.c.expires <= now)
                .values(revoked=row.c.expires)
            )  # fmt: skip
            created = connection.execute(
                insert(row).values(values).on_conflict_do_nothing().returning(row)
            ).one_or_none()
            if created is None:
                raise Conflict(
                    f"there is a token {name} already: run 'weir tokens revoke {name}', or choose another name"
                )
            details = {"id": created.id, "role": role, "expires": created.expires and created.expires.isoformat()}
            audit.record(connection, author, Action.CREATE_TOKEN, name, details)
        return secret, _token(created)

    def revoke(self, name: str, author: Author) -> Token:
        """Revoke the token of that name; NotFound when none is live or merely expired."""
        row = tables.tokens
        change = sa.update(row).where(row.c.name == name, row.c.revoked.is_(None)).values(revoked=self.now())
        with transaction(self._engine) as connection:
            revoked = connection.execute(change.returning(row)).one_or_none()
            if revoked is None:
                raise NotFound(f"no token {name}: see 'weir tokens list'")
            audit.record(connection, author, Action.REVOKE_TOKEN, name, {"id": revoked.id, "role": revoked.role})
        return _token(revoked)

    def all(self) -> list[Token]:
        """Return every token that was ever created, in that order, without its secret."""
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(tables.tokens).order_by(tables.tokens.c.id)).all()
        return [_token(each) for each in found]

    def by_digest(self) -> dict[bytes, Token]:
        """Return by its `digest` each token that is live, or was so in the last 30 days, and the newest in any case.

        So the result is empty only where no token was ever created, and does not grow with those of years.
        """
        row, recent = tables.tokens, self.now() - _ENDED_RECENTLY
        is_recent = sa.func.coalesce(sa.func.least(row.c.revoked, row.c.expires), self.now()) > recent
        newest = sa.select(sa.func.max(row.c.id)).scalar_subquery()
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(row).where(is_recent | (row.c.id == newest)))
            return {bytes(each.hash): _token(each) for each in found}

    def used(self, ids: Sequence[int]) -> None:
        """Record that tokens are used now; no more than once a minute for each, however often it is called."""
        row, now = tables.tokens, self.now()
        before = now - timedelta(seconds=_USED_SECONDS)
        old = row.c.last_used.is_(None) | (row.c.last_used < before)
        with transaction(self._engine) as connection:
            connection.execute(sa.update(row).where(row.c.id.in_(ids), old).values(last_used=now))

    def now(self) -> datetime:
        """Return the time by which tokens expire."""
        return datetime.fromtimestamp(self._clock(), UTC)


def _token(row: sa.Row[Any]) -> Token:
    return Token(row.id, row.name, Role(row.role), row.created, row.created_by, row.expires, row.last_used, row.revoked)
