"""Refuse a connection pooler that gives each transaction another session.

Locks, time-outs and prepared statements belong to a session. Behind such a pooler (PgBouncer with ``pool_mode =
transaction``) they would be lost, or reach other clients' transactions, without an error.
"""

from collections.abc import Callable
from contextlib import closing

import psycopg

from importance.errors import InvalidInput, Unavailable
from storage.probe import ANSWER_SECONDS, answered

_ROUNDS = 3  # a round misses a pooler only if two of its other clients come between at the right moments

Connection = psycopg.Connection[tuple[object, ...]]


class PoolerCheck:
    """Asked of each new connection until one passes; ``connect`` opens another one, ``where`` names the database."""

    def __init__(self, connect: Callable[[], Connection], where: str) -> None:
        self._connect = connect
        self._where = where
        self._passed = False

    def __call__(self, connection: Connection) -> None:
        """Raise InvalidInput when sessions are shared, Unavailable when a pooler has no second one for us."""
        if not self._passed and not is_direct(connection):
            with closing(self._connect()) as other:
                if not answered(other.pgconn, ANSWER_SECONDS):
                    raise Unavailable(
                        f"the pooler before {self._where} gave no second connection within {ANSWER_SECONDS:g} s: raise "
                        "its pool_size to 20 for each process of Weir"
                    )
                if any(shares_sessions(connection, other) for _ in range(_ROUNDS)):
                    raise InvalidInput(
                        f"{self._where} is behind a pooler that gives each transaction another session, as PgBouncer "
                        "does with pool_mode = transaction: set pool_mode = session for it, or let WEIR_DATABASE_URL "
                        "name Postgres itself"
                    )
        self._passed = True


def is_direct(connection: Connection) -> bool:
    """Return whether the server answers directly: at login a pooler names another process than the server."""
    return _session(connection) == connection.info.backend_pid


def shares_sessions(connection: Connection, other: Connection) -> bool:
    """Return whether two connections had one session, or one connection two sessions."""
    before = _session(connection)
    with other.transaction(force_rollback=True):
        taken = _process(other)
        return taken == before or _session(connection) != before


def _session(connection: Connection) -> int:
    """Return the server's process, by a transaction of its own."""
    with connection.transaction():
        return _process(connection)


def _process(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return int(str(row[0]))
