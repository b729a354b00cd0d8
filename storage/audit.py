"""The audit log: every change, with who made it, by which way, of what, and why.

An entry is written in the transaction of the change, so that neither exists without the other. The log is append-only;
a trigger refuses everything else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from storage import tables
from storage.engine import transaction
from storage.texts import ACTOR_CHARACTERS, REASON_CHARACTERS, storable


class Via(StrEnum):
    """By which way a change was made."""

    CLI = "cli"
    HTTP = "http"
    TRAINER = "trainer"
    WORKER = "worker"
    UP = "up"


class Action(StrEnum):
    """What was changed."""

    PROMOTE = "models.promote"
    ROLLBACK = "models.rollback"
    FREEZE = "training.freeze"
    UNFREEZE = "training.unfreeze"
    LIFT = "models.lift"
    TRAIN = "training.run"
    RESCORE = "buffer.rescore"
    RESET = "partitions.reset"
    RESTART_DRIFT = "drift.restart"
    REDRIVE = "dead_letters.redrive"
    ERASE = "subjects.erase"
    CREATE_TOKEN = "tokens.create"  # noqa: S105  # a name, not a secret
    REVOKE_TOKEN = "tokens.revoke"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Author:
    """Who makes a change, by which way, and why.

    ``actor`` is a user of a shell, the name of a token, a worker or the trainer; it may be the same word in each,
    so it identifies only together with ``via``.
    """

    actor: str
    via: Via
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``target`` is what was changed; ``time`` is the database's, so all entries have one clock.

    ``via`` and ``action`` are texts here: a later release may have written others than `Via` and `Action` name.
    """

    id: int
    time: datetime
    actor: str
    via: str
    action: str
    target: str
    reason: str
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are wanted; None does not restrict."""

    since: datetime | None = None
    actor: str | None = None
    action: str | None = None


ALL = Filter()


def record(
    connection: sa.Connection,
    author: Author,
    action: Action,
    target: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry in the transaction of ``connection``, which makes the change."""
    connection.execute(
        sa.insert(tables.audit).values(
            actor=storable("actor", author.actor, ACTOR_CHARACTERS),
            via=author.via,
            action=action,
            target=target,
            reason=storable("reason", author.reason, REASON_CHARACTERS, least=0),
            details=dict(details or {}),
        )
    )


class Audit:
    """The log as a whole."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(
        self, author: Author, action: Action, target: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        """Add an entry for a change that is not made in this database."""
        with transaction(self._engine) as connection:
            record(connection, author, action, target, details)

    def entries(self, wanted: Filter = ALL, *, limit: int, before: int | None = None) -> list[Entry]:
        """Return at most ``limit`` entries, newest first; with ``before`` only those with a lower id."""
        row = tables.audit
        found = sa.select(row).order_by(row.c.id.desc()).limit(limit)
        if before is not None:
            found = found.where(row.c.id < before)
        if wanted.since is not None:
            found = found.where(row.c.time >= wanted.since)
        if wanted.actor is not None:
            found = found.where(row.c.actor == wanted.actor)
        if wanted.action is not None:
            found = found.where(row.c.action == wanted.action)
        with transaction(self._engine) as connection:
            return [_entry(each) for each in connection.execute(found)]


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(row.id, row.time, row.actor, row.via, row.action, row.target, row.reason, row.details)
