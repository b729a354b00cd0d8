"""The reports of a role arrive on time, include that it stopped, and never delay it."""

import time
from threading import Event

from storage import migrate
from storage.engine import create_engine
from storage.heartbeats import Heartbeats, Report
from tests.conftest import TestPostgres
from weir.roles.heartbeat import heartbeat


def test_reports_are_written_until_the_role_stops_and_then_that_it_did(postgres: TestPostgres) -> None:
    url = postgres.database()
    engine = create_engine(url)
    migrate.upgrade(engine)
    reported = Event()
    calls = 0

    def report() -> Report:
        nonlocal calls
        calls += 1
        if calls > 2:
            reported.set()
        return Report("working")

    with heartbeat(url, "worker", report, seconds=0.05) as process:
        assert reported.wait(30)
        (alive,) = Heartbeats(engine).all()
        assert (alive.process, alive.stopped) == (process, False)
    (ended,) = Heartbeats(engine).all()
    assert (ended.process, ended.stopped) == (process, True)
    engine.dispose()


def test_a_missing_database_does_not_delay_the_role() -> None:
    asked = Event()

    def report() -> Report:
        asked.set()
        return Report("working")

    started = time.monotonic()
    with heartbeat("postgresql://nobody@127.0.0.1:1/none", "worker", report, seconds=0.05):
        assert asked.wait(30)
    assert time.monotonic() - started < 20
