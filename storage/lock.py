"""Advisory locks: who may migrate, trim or train. Postgres gives them back when their session ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from threading import Lock
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from importance.errors import Unavailable
from storage.engine import ending_broken, reported

_SPACE = 0x57454952  # "WEIR": keeps our locks apart from those of others in the same database


class Right(IntEnum):
    """What an advisory lock stands for; its second number."""

    MIGRATE = 1
    TRIM = 2
    TRAIN = 3


def wait_for(connection: sa.Connection, right: Right) -> None:
    """Take a lock until the transaction's end; waits for it, no longer than the connection's lock time-out."""
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SPACE, int(right))))


def try_for(connection: sa.Connection, right: Right) -> bool:
    """Take a lock until the transaction's end, if nobody has it."""
    return bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(_SPACE, int(right)))))


class TrainerLock:
    """The right to train, which one session at a time holds, on a connection of its own.

    `transaction` runs in that very session: what it commits, it commits as the holder. When the connection is lost the
    right is lost with it, and `held` says so; `acquire` begins anew.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._one_at_a_time = Lock()  # a connection must not be used by two threads

    def acquire(self) -> bool:
        """Take the right, if nobody else has it; does not wait."""
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
        """Whether this session still holds the right: asks the server."""
        with self._one_at_a_time:
            if self._connection is None:
                return False
            try:
                with reported(self._engine), ending_broken(self._connection):
                    self._connection.execute(sa.select(1))
            except Unavailable:
                self._drop()
                return False
            return True

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction in the session that holds the right; raises Unavailable when it is not held."""
        with self._one_at_a_time:
            if self._connection is None:
                raise Unavailable("the right to train is not held: another trainer may have it")
            with reported(self._engine), ending_broken(self._connection):
                # Autocommit leaves BEGIN and COMMIT to us.
                self._connection.execute(sa.text("BEGIN"))
                try:
                    yield self._connection
                except BaseException:
                    self._connection.execute(sa.text("ROLLBACK"))
                    raise
                self._connection.execute(sa.text("COMMIT"))

    def release(self) -> None:
        """Give the right back."""
        with self._one_at_a_time:
            self._drop()

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
