"""A database that is stopped, and so neither answers nor refuses, is unavailable soon, and found again by itself."""

import os
import signal
from contextlib import closing
from queue import Queue
from threading import Thread

import psutil
import pytest
import sqlalchemy as sa

from importance.errors import Unavailable
from storage.engine import create_engine, transaction
from storage.hanging import HangProbe
from tests.conftest import TestPostgres
from tests.support.waiting import TIMEOUT_SECONDS
from weir.roles.watching import Watch


def test_a_stopped_database_lets_nobody_wait_and_comes_back(own_postgres: TestPostgres) -> None:
    engine = create_engine(own_postgres.database())
    changes: Queue[bool] = Queue()
    outcomes: Queue[BaseException | None] = Queue()

    def ask() -> None:
        try:
            with transaction(engine) as connection:
                connection.execute(sa.text("SELECT 1"))
        except Unavailable as error:
            outcomes.put(error)
        else:
            outcomes.put(None)

    with closing(HangProbe(engine)) as probe, Watch("storage", probe, lambda available, _: changes.put(available)):
        assert changes.get(timeout=TIMEOUT_SECONDS) is True
        ask()
        assert outcomes.get() is None
        with transaction(engine) as connection:
            pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
        server = psutil.Process(pid).parent()
        assert server is not None
        stopped = [server, *server.children()]
        for process in stopped:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            waiting = Thread(target=ask)
            waiting.start()  # on the connection that is open already
            assert isinstance(outcomes.get(timeout=TIMEOUT_SECONDS), Unavailable)
            assert changes.get(timeout=TIMEOUT_SECONDS) is False
            waiting.join()
            with pytest.raises(Unavailable, match="does not answer"), transaction(engine):
                pass
        finally:
            for process in stopped:
                os.kill(process.pid, signal.SIGCONT)
        assert changes.get(timeout=TIMEOUT_SECONDS) is True
        ask()
        assert outcomes.get() is None
    engine.dispose()
