"""Advisory locks on migrating, trimming, training, rescoring, erasing, mirroring.

Postgres releases them when a session ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from threading import Lock
from types import TracebackType
from typing import Self

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from importance.errors import Unavailable
from storage.engine import reported

_SPACE = 0x57454952  # "WEIR": keeps our locks apart from those of others in the same database


class Right(IntEnum):
    """What an advisory lock protects; its second number."""

    MIGRATE = 1
    TRIM = 2
    TRAIN = 3
    RESCORE = 4  # shared by those who store samples
    ERASE = 5
    MIRROR = 6


def wait_for(connection: sa.Connection, right: Right) -> None:
    """Take a lock until the transaction's end; waits for it, no longer than the connection's lock time-out."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SPACE, int(right))))


def share(connection: sa.Connection, right: Right) -> None:
    """Take a lock until the transaction's end, shared with others; waits for an exclusive holder."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_SPACE, int(right))))


def try_for(connection: sa.Connection, right: Right) -> bool:
    """Take a lock until the transaction's end, if it is free."""
    return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_SPACE, int(right)))))


@contextmanager
def alone(engine: sa.Engine, right: Right) -> Iterator[bool]:
    """Hold a lock on a connection of its own as long as the block runs; yields whether it was free.

    Raises Unavailable when the connection, and so the lock, was lost meanwhile.
    """
    with reported(engine), engine.connect() as pooled:
        # Autocommit, or the session would sit in a transaction for the whole of the block.
        connection = pooled.execution_options(isolation_level="AUTOCOMMIT")
        taken = bool(connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_SPACE, int(right)))))
        try:
            yield taken
        finally:
            if taken:
                connection.execute(sa.select(sa.func.pg_advisory_unlock(_SPACE, int(right))))


def held_by_anyone(right: Right) -> sa.ColumnElement[bool]:
    """Return whether a session of this database has a lock, as a condition."""
    locks = sa.table("pg_locks", *map(sa.column, ("locktype", "classid", "objid", "granted", "database")))
    here = sa.select(sa.text("oid")).select_from(sa.text("pg_database")).where(sa.text("datname = current_database()"))
    return sa.exists().where(
        locks.c.locktype == "advisory",
        locks.c.classid == sa.cast(_SPACE, pg.OID),
        locks.c.objid == sa.cast(int(right), pg.OID),
        locks.c.granted,
        locks.c.database == here.scalar_subquery(),
    )


class TrainerLock:
    """The right to train, which one session at a time holds, on a connection of its own.

    `transaction` runs in that very session: what it commits, it commits as the holder. When the connection is lost the
    right is lost with it, and `held` is False; `acquire` starts again.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._one_at_a_time = Lock()  # a connection must not be used by two threads

    def acquire(self) -> bool:
        """Take the right if it is free; does not wait."""
        if self.held():
            return True
        with self._one_at_a_time, reported(self._engine):
            connection = self._engine.connect()
            try:
                # Autocommit, or the session would sit in a transaction for the whole of a training.
                connection = connection.execution_options(isolation_level="AUTOCOMMIT")
                if connection.scalar(sa.select(sa.func.pg_try_advisory_lock(_SPACE, int(Right.TRAIN)))):
                    self._connection = connection
            finally:
                if self._connection is None:
                    connection.close()
            return self._connection is not None

    def held(self) -> bool:
        """Return whether this session still holds the right: asks the server."""
        with self._one_at_a_time:
            connection = self._session()
            if connection is None:
                return False
            try:
                with reported(self._engine):
                    connection.execute(sa.select(1))
            except Unavailable:
                self._drop()
                return False
            return True

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Run a transaction in the session that holds the right; raises Unavailable when it is not held."""
        with self._one_at_a_time:
            connection = self._session()
            if connection is None:
                raise Unavailable("the right to train is not held: another trainer may have it")
            with reported(self._engine):
                connection.execute(sa.text("BEGIN"))  # autocommit leaves it to us
                try:
                    yield connection
                except BaseException:
                    if not connection.invalidated:
                        connection.execute(sa.text("ROLLBACK"))
                    raise
                connection.execute(sa.text("COMMIT"))

    def release(self) -> None:
        """Release the right; when this returns, another process may acquire it."""
        with self._one_at_a_time:
            connection = self._session()
            if connection is not None:
                with suppress(Unavailable), reported(self._engine):
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(_SPACE, int(Right.TRAIN))))
            self._drop()

    def _session(self) -> sa.Connection | None:
        """Return the session that took the lock, if it lives: SQLAlchemy would open another one instead, without it."""
        if self._connection is not None and self._connection.invalidated:
            self._drop()
        return self._connection

    def _drop(self) -> None:
        """End the session, which frees the lock whatever state it is in."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
