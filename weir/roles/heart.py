"""Report what a role does, every few seconds, on a thread and a connection of its own.

The role never waits for it: while Postgres is unavailable the reports are lost, and the role is reported as gone.
"""

import os
import socket
from collections.abc import Callable
from threading import Event, Thread
from time import monotonic
from types import TracebackType
from typing import Self
from uuid import uuid4

from importance.errors import InvalidInput, Unavailable
from storage.engine import create_engine
from storage.heartbeats import Heartbeats, Process, Report
from weir.process import logs

BEAT_SECONDS = 5.0
_LAST_SECONDS = 2.0  # the longest that the end of a role waits for its last report

_log = logs.logger(__name__)


class Heart:
    """Writes what ``report`` returns from `__enter__` until `__exit__`, and then that the role stopped in order."""

    def __init__(
        self, database_url: str, role: str, report: Callable[[], Report], beat_seconds: float = BEAT_SECONDS
    ) -> None:
        self.process = Process(uuid4(), role, socket.gethostname(), os.getpid())
        self._engine = create_engine(database_url, application_name=f"weir {role} heartbeat", pool_size=1)
        self._heartbeats = Heartbeats(self._engine)
        self._report = report
        self._beat_seconds = beat_seconds
        self._started = monotonic()
        self._stop = Event()
        self._thread = Thread(target=self._run, name="heartbeat", daemon=True)
        self._failure = ""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_LAST_SECONDS)

    def _run(self) -> None:
        self._attempt(self._heartbeats.prune)
        self._attempt(self._beat)
        while not self._stop.wait(self._beat_seconds):
            self._attempt(self._beat)
        self._attempt(lambda: self._beat(stopped=True))
        self._engine.dispose()

    def _beat(self, stopped: bool = False) -> None:
        self._heartbeats.write(self.process, monotonic() - self._started, self._report(), stopped=stopped)

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except (Unavailable, InvalidInput):  # the role itself reports that; the next report is on time again
            pass
        except Exception as error:  # a role must not end because it cannot be watched
            if str(error) != self._failure:
                _log.error("heartbeat not written", exc_info=error)
            self._failure = str(error)
