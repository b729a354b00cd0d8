"""Probe whether a database answers at all, and end waits for one that hangs instead of refusing.

A stopped server's kernel still takes connections and acknowledges bytes, so no time-out of TCP or of the server helps.
"""

import os
import socket
from contextlib import suppress
from threading import Event, Lock
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from importance.errors import Unavailable
from storage.engine import CONNECT_SECONDS, address_of
from storage.probe import ANSWER_SECONDS, answered


class HangProbe:
    """Probes the database of ``engine`` at each call, on a connection of its own.

    From a call without an answer until one with an answer, connections that wait for one are shut down, which ends
    their statements as those of a lost server, and none is opened: callers see Unavailable and try again. How long a
    statement takes is not checked, so a migration continues as long as the server answers others.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._sockets: dict[Any, socket.socket] = {}
        self._changing = Lock()
        self._hangs = Event()
        self._connection: psycopg.Connection | None = None
        sa.event.listen(engine, "connect", self._opened)
        sa.event.listen(engine, "close", self._closed)
        sa.event.listen(engine, "do_connect", self._opening)

    def __call__(self) -> str | None:
        """Return None when the database answers, else why not.

        Raises :class:`Unavailable` when it refuses this connection: its users see whether it refuses all.
        """
        try:
            hangs = not self._answers()
        except psycopg.Error as error:
            self._forget()
            self._hangs.clear()
            raise Unavailable(f"{address_of(self._engine)} refuses the probe: {error}") from error
        if not hangs:
            self._hangs.clear()
            return None
        self._forget()
        self._hangs.set()
        self._disconnect()
        return f"{address_of(self._engine)} does not answer: nothing came within {ANSWER_SECONDS:g} s"

    def close(self) -> None:
        """Close the probe's own connection."""
        self._forget()

    def _answers(self) -> bool:
        """Return whether the server answers in time; raises ``psycopg.Error`` when it refuses."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            return answered(self._connection.pgconn, ANSWER_SECONDS)
        except psycopg.errors.ConnectionTimeout:
            return False

    def _connect(self) -> psycopg.Connection:
        arguments, named = self._engine.dialect.create_connect_args(self._engine.url)
        return psycopg.connect(*arguments, **{**named, "connect_timeout": CONNECT_SECONDS, "autocommit": True})

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opening(self, *_: object) -> None:
        if self._hangs.is_set():
            raise psycopg.OperationalError(f"nothing came within {ANSWER_SECONDS:g} s")

    def _opened(self, connection: Any, _record: object) -> None:
        # A descriptor of our own: the driver's may be closed, and its number be another's, while this one is used.
        own = socket.socket(fileno=os.dup(connection.pgconn.socket))
        with self._changing:
            self._sockets[connection] = own

    def _closed(self, connection: Any, _record: object) -> None:
        with self._changing:
            own = self._sockets.pop(connection, None)
        if own is not None:
            own.close()

    def _disconnect(self) -> None:
        with self._changing:
            for connection, own in self._sockets.items():
                if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    with suppress(OSError):  # the server may have closed it meanwhile
                        own.shutdown(socket.SHUT_RDWR)
