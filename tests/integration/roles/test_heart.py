"""A role's reports come on time, say that it stopped, and never hold it up."""

import time
from threading import Event

from storage import migrate
from storage.engine import create_engine
from storage.heartbeats import Heartbeats, Report
from tests.conftest import TestPostgres
from weir.roles.heart import Heart


def test_a_heart_reports_until_its_role_stops_and_then_that_it_did(postgres: TestPostgres) -> None:
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

    with Heart(url, "worker", report, beat_seconds=0.05) as heart:
        assert reported.wait(30)
        (alive,) = Heartbeats(engine).all()
        assert (alive.process, alive.stopped) == (heart.process, False)
    (ended,) = Heartbeats(engine).all()
    assert (ended.process, ended.stopped) == (heart.process, True)
    engine.dispose()


def test_a_heart_without_a_database_holds_nobody_up() -> None:
    asked = Event()

    def report() -> Report:
        asked.set()
        return Report("working")

    began = time.monotonic()
    with Heart("postgresql://nobody@127.0.0.1:1/none", "worker", report, beat_seconds=0.05):
        assert asked.wait(30)
    assert time.monotonic() - began < 20
