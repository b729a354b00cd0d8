"""Versions that a rollback left behind, until an operator lifts that.

A quarantine marks the scores that a version made (the samples of the buffer whose ``model`` it is): they are computed
again by the active version. And it refuses the promotion, by a trainer, of every version that descends from it. The
entry is made in the transaction of the rollback.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time

import sqlalchemy as sa

from importance.errors import Conflict, NotFound
from storage import audit, tables
from storage.audit import Action, Author
from storage.engine import transaction

_LINE = sa.text("""
    WITH RECURSIVE line (version, parent, depth) AS (
        SELECT version, parent, 0 FROM model_versions WHERE version = :version
        UNION ALL
        SELECT v.version, v.parent, depth + 1 FROM model_versions v JOIN line ON v.version = line.parent
    )
    SELECT version, EXISTS (
        SELECT FROM model_quarantine q WHERE q.version = line.version AND q.lifted IS NULL
    ) AS distrusted
    FROM line ORDER BY depth
""")


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A version in quarantine: since the entry ``sequence`` of the promotion log; ``rescored`` rows until now."""

    version: str
    sequence: int
    since: datetime
    rescored: int


class Quarantine:
    """The quarantines that stand. ``clock`` gives seconds since the epoch."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time) -> None:
        self._engine = engine
        self._clock = clock

    def standing(self) -> list[Quarantined]:
        """Return what is in quarantine, oldest first."""
        row = tables.quarantine
        columns = (getattr(row.c, name) for name in Quarantined.__slots__)
        wanted = sa.select(*columns).where(row.c.lifted.is_(None)).order_by(row.c.sequence, row.c.version)
        with transaction(self._engine) as connection:
            return [Quarantined(*found) for found in connection.execute(wanted)]

    def of(self, version: str) -> Quarantined | None:
        """Return the quarantine of a version; None where none stands."""
        return next((each for each in self.standing() if each.version == version), None)

    def lift(self, version: str, author: Author) -> None:
        """End the quarantine of a version; NotFound for an unknown version, Conflict where none stands."""
        known = sa.select(tables.versions.c.version).where(tables.versions.c.version == version)
        with transaction(self._engine) as connection:
            if connection.scalar(known) is None:
                raise NotFound(f"no version {version}: see 'weir models list'")
            if not end(connection, [version], datetime.fromtimestamp(self._clock(), UTC)):
                raise Conflict(f"version {version} is not in quarantine: nothing was changed")
            audit.record(connection, author, Action.LIFT, version)

    def rows(self) -> dict[str, int]:
        """Return version → rows of the buffer that it scored, of those in quarantine that have any."""
        row, model = tables.quarantine, tables.samples.c.model
        standing = sa.select(row.c.version).where(row.c.lifted.is_(None))
        found = sa.select(model, sa.func.count()).where(model.in_(standing)).group_by(model)
        with transaction(self._engine) as connection:
            # Without one the whole buffer would be read at each poll.
            if not connection.scalar(sa.select(sa.exists(standing))):
                return {}
            return {version: count for version, count in connection.execute(found)}  # noqa: C416 - rows are no pairs to mypy

    def note_rescored(self, version: str, rows: int) -> None:
        """Count rows of a version that were scored again."""
        row = tables.quarantine
        ours = (row.c.version == version) & row.c.lifted.is_(None)
        with transaction(self._engine) as connection:
            connection.execute(sa.update(row).where(ours).values(rescored=row.c.rescored + rows))


def begin(connection: sa.Connection, versions: Sequence[str], sequence: int, now: datetime) -> None:
    """Put versions into quarantine, in the transaction of the rollback that is entry ``sequence``."""
    standing = set(_standing(connection, versions))
    fresh = [{"version": each, "sequence": sequence, "since": now} for each in versions if each not in standing]
    if fresh:
        connection.execute(sa.insert(tables.quarantine), fresh)


def end(connection: sa.Connection, versions: Sequence[str], now: datetime) -> int:
    """End the quarantines of versions; return how many stood."""
    row = tables.quarantine
    ours = row.c.version.in_(versions) & row.c.lifted.is_(None)
    return connection.execute(sa.update(row).where(ours).values(lifted=now)).rowcount


def ancestors(connection: sa.Connection, version: str) -> list[str]:
    """Return a version and its ancestors, the nearest first."""
    return [row.version for row in connection.execute(_LINE, {"version": version})]


def distrusted(connection: sa.Connection, version: str) -> list[str]:
    """Return what is in quarantine of a version and its ancestors, the nearest first."""
    return [row.version for row in connection.execute(_LINE, {"version": version}) if row.distrusted]


def _standing(connection: sa.Connection, versions: Sequence[str]) -> list[str]:
    row = tables.quarantine
    return list(connection.scalars(sa.select(row.c.version).where(row.c.version.in_(versions), row.c.lifted.is_(None))))
