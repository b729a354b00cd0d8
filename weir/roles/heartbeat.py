"""Report what a role does, every few seconds, on a thread and a connection of its own.

The role never waits for it: while Postgres is unavailable the reports are lost, and the role is reported as gone.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Event
from time import monotonic
from uuid import uuid4

from storage.engine import create_engine
from storage.heartbeats import Heartbeats, Process, Report
from weir.process.background import Attempts, Background

HEARTBEAT_SECONDS = 5.0
_LAST_SECONDS = 2.0  # the longest that the end of a role waits for its last report


@contextmanager
def heartbeat(
    database_url: str, role: str, report: Callable[[], Report], seconds: float = HEARTBEAT_SECONDS
) -> Iterator[Process]:
    """Write what ``report`` returns, every ``seconds`` of a block, and at its end that the role stopped in order.

    Yields the process by the name of which the reports are written.
    """
    process = Process(uuid4(), role, socket.gethostname(), os.getpid())
    engine = create_engine(database_url, application_name=f"weir {role} heartbeat", pool_size=1)
    heartbeats, started, stop = Heartbeats(engine), monotonic(), Event()

    def write(stopped: bool = False) -> None:
        heartbeats.write(process, monotonic() - started, report(), stopped=stopped)

    def work() -> None:
        attempt = Attempts("heartbeat")
        attempt(heartbeats.prune)
        attempt(write)
        while not stop.wait(seconds):
            attempt(write)
        attempt(partial(write, stopped=True))
        engine.dispose()

    with Background("heartbeat", work, stop.set, _LAST_SECONDS):
        yield process
