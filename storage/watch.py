"""See a database that hangs instead of refusing, and let nobody wait for it.

A stopped server's kernel still takes connections and acknowledges bytes, so no time-out of TCP or of the server helps.
"""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self

import psycopg
import sqlalchemy as sa
from psycopg.pq import TransactionStatus

from storage.engine import CONNECT_SECONDS, place
from storage.probe import ANSWER_SECONDS, answered

_PROBE_SECONDS = 1.0


class Watch:
    """Probes the database of ``engine`` on a connection of its own; ``told(available, reason)`` hears of each change.

    While no answer comes, connections that wait for one are shut down, which ends their statements as those of a lost
    server, and none is opened: callers see Unavailable and try again. How long a statement takes is not looked at, so a
    migration goes on as long as the server answers others. A server that refuses is for the callers to see.
    """

    def __init__(self, engine: sa.Engine, told: Callable[[bool, str], None]) -> None:
        self._engine = engine
        self._told = told
        self._sockets: dict[Any, socket.socket] = {}
        self._changing = Lock()
        self._hangs = Event()
        self._ended = Event()
        self._probe: psycopg.Connection | None = None
        sa.event.listen(engine, "connect", self._opened)
        sa.event.listen(engine, "close", self._closed)
        sa.event.listen(engine, "do_connect", self._opening)
        self._thread = Thread(target=self._watch, name="weir-watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _watch(self) -> None:
        while not self._ended.wait(_PROBE_SECONDS):
            hung = self._hangs.is_set()
            if self._answers():
                self._hangs.clear()
            else:
                self._hangs.set()
                self._cut()
            if hung != self._hangs.is_set():
                self._told(hung, "" if hung else self._reason())
        self._forget_probe()

    def _reason(self) -> str:
        return f"{place(self._engine)} does not answer: nothing came within {ANSWER_SECONDS:g} s"

    def _answers(self) -> bool:
        """Whether the server says anything in time, be it no."""
        try:
            if self._probe is None:
                self._probe = self._connect()
            if answered(self._probe.pgconn, ANSWER_SECONDS):
                return True
        except psycopg.errors.ConnectionTimeout:
            return False
        except psycopg.Error:
            self._forget_probe()
            return True
        self._forget_probe()
        return False

    def _connect(self) -> psycopg.Connection:
        arguments, named = self._engine.dialect.create_connect_args(self._engine.url)
        return psycopg.connect(*arguments, **{**named, "connect_timeout": CONNECT_SECONDS, "autocommit": True})

    def _forget_probe(self) -> None:
        if self._probe is not None:
            self._probe.close()
            self._probe = None

    def _opening(self, *_: object) -> None:
        if self._hangs.is_set():
            raise psycopg.OperationalError(f"nothing came within {ANSWER_SECONDS:g} s")

    def _opened(self, connection: Any, _record: object) -> None:
        # A descriptor of our own: the driver's may be closed, and its number be another's, while we look at it.
        own = socket.socket(fileno=os.dup(connection.pgconn.socket))
        with self._changing:
            self._sockets[connection] = own

    def _closed(self, connection: Any, _record: object) -> None:
        with self._changing:
            own = self._sockets.pop(connection, None)
        if own is not None:
            own.close()

    def _cut(self) -> None:
        with self._changing:
            for connection, own in self._sockets.items():
                if connection.pgconn.transaction_status == TransactionStatus.ACTIVE:
                    with suppress(OSError):  # the server may have closed it meanwhile
                        own.shutdown(socket.SHUT_RDWR)
