"""What processes report of themselves is one row each, by the database's clock, and old rows go."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import sqlalchemy as sa

from storage.heartbeats import (
    FOREIGN,
    LOST_KEPT_SECONDS,
    STOPPED_KEPT_SECONDS,
    Assigned,
    Heartbeats,
    Model,
    Process,
    Report,
)

WORKER = Process(UUID(int=1), "worker", "host-a", 17)
REPORT = Report(
    state="not_ready",
    reasons=("kafka: no answer",),
    model=Model("v3", 7, "refused", "version v4 is damaged"),
    progressed=datetime(2026, 1, 1, 8, 30, tzinfo=UTC),
    error="kafka: no answer",
    error_time=datetime(2026, 1, 1, 8, 31, tzinfo=UTC),
    partitions=(Assigned(0, 12, 3), Assigned(2, 0, 0)),
)


def test_a_report_is_read_as_it_was_written_and_the_next_one_replaces_it(engine: sa.Engine) -> None:
    heartbeats = Heartbeats(engine)
    heartbeats.write(WORKER, 2.0, REPORT)
    (first,) = heartbeats.all()
    assert (first.process, first.report.model, first.stopped) == (WORKER, REPORT.model, False)
    assert replace(first.report, reasons=(), partitions=()) == replace(REPORT, reasons=(), partitions=())
    assert (list(first.report.reasons), list(first.report.partitions)) == (
        list(REPORT.reasons),
        list(REPORT.partitions),
    )
    assert (first.seen - first.started).total_seconds() == 2.0
    heartbeats.write(WORKER, 9.0, Report("working"), stopped=True)
    (second,) = heartbeats.all()
    assert (second.started, second.report.state, second.stopped) == (first.started, "working", True)
    assert second.seen > first.seen


def test_a_report_of_another_release_is_listed_and_judged_not_ready(engine: sa.Engine) -> None:
    heartbeats = Heartbeats(engine)
    heartbeats.write(WORKER, 2.0, REPORT)
    with engine.begin() as connection:
        connection.execute(sa.text("""UPDATE heartbeats SET report = '{"state": "draining", "shards": [1]}'"""))
    (found,) = heartbeats.all()
    assert (found.process, found.report.state, found.report.reasons) == (WORKER, "not_ready", (FOREIGN,))


def test_rows_of_processes_that_ended_long_ago_are_removed_sooner_when_they_ended_in_order(engine: sa.Engine) -> None:
    heartbeats = Heartbeats(engine)
    for number, (stopped, silent_seconds) in enumerate(
        [
            (False, 0.0),
            (True, STOPPED_KEPT_SECONDS + 1),
            (False, STOPPED_KEPT_SECONDS + 1),
            (False, LOST_KEPT_SECONDS + 1),
        ]
    ):
        heartbeats.write(replace(WORKER, id=UUID(int=number), pid=number), 0.0, Report("working"), stopped=stopped)
        silent(engine, number, silent_seconds)
    assert heartbeats.prune() == 2
    assert {beat.process.pid for beat in heartbeats.all()} == {0, 2}


def silent(engine: sa.Engine, pid: int, seconds: float) -> None:
    """Let a process have been silent for so long."""
    moved = sa.text("UPDATE heartbeats SET seen = now() - make_interval(secs => :seconds) WHERE pid = :pid")
    with engine.begin() as connection:
        connection.execute(moved, {"seconds": seconds, "pid": pid})
