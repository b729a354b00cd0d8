"""Who counts as gone, what replaces it, who owns a partition, what training does: pure decisions over heartbeats."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from importance.partition_progress import Progress
from storage.heartbeats import LOST_KEPT_SECONDS, STOPPED_KEPT_SECONDS, Assigned, Heartbeat, Process, Report
from storage.progress import Position
from storage.registry import Active
from storage.runs import Run
from trainer.triggers import Waits
from weir.demo.addresses import start_it
from weir.status.service import (
    GONE_SECONDS,
    Freeze,
    Partition,
    absent,
    degraded,
    describe,
    first_decision,
    live_processes,
    partitions,
    roles,
    training,
)

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
ACTIVE = Active(3, "v2", "v2-files", "0" * 64, frozen=False)


def beat(
    role: str = "worker",
    pid: int = 1,
    *,
    started: float = 3600.0,
    silent: float = 1.0,
    stopped: bool = False,
    assigned: Sequence[Assigned] = (),
    waits: Mapping[str, Any] | None = None,
) -> Heartbeat:
    """A process that started and was last seen so many seconds ago."""
    process = Process(uuid4(), role, "host-a", pid)
    report = Report("working", partitions=assigned, training={"leads": waits is not None, "waits": waits})
    at = [NOW - timedelta(seconds=seconds) for seconds in (started, silent)]
    return Heartbeat(process, at[0], at[1], silent, stopped, report)


def states(*beats: Heartbeat) -> dict[int, str]:
    return {role.pid: role.state for role in roles(beats)}


def test_a_silent_process_is_gone_and_a_stopped_one_too() -> None:
    found = states(
        beat(pid=1, silent=GONE_SECONDS), beat(pid=2, silent=GONE_SECONDS + 1), beat(pid=3, silent=2, stopped=True)
    )
    assert found == {1: "working", 2: "gone", 3: "gone"}


def test_a_process_that_started_after_another_vanished_replaces_it_and_only_it() -> None:
    lost = [beat(pid=1, silent=100), beat(pid=2, silent=90)]
    assert states(*lost, beat(pid=3, started=50)) == {2: "gone", 3: "working"}
    assert states(*lost, beat(pid=3, started=50), beat(pid=4, started=40)) == {3: "working", 4: "working"}
    assert states(lost[0], beat(pid=3, started=200)) == {1: "gone", 3: "working"}  # it was there all along
    assert states(lost[0], beat("trainer", pid=3, started=50)) == {1: "gone", 3: "working"}


def test_a_role_whose_last_process_vanished_is_named_once() -> None:
    lost = [beat("worker", 1), beat("worker", 2, silent=100), beat("trainer", 3, silent=100), beat("api", 4)]
    assert degraded(roles(lost), start_it) == [
        "no trainer is running: start weir trainer", "worker host-a/2 is gone: has not reported for 100 s",
    ]  # fmt: skip


def test_what_a_trainer_of_another_release_waits_for_is_not_known() -> None:
    found = training([beat("trainer", waits={"shards": 3})], ACTIVE, None, None, asked=False)
    assert (found.state, found.waits) == ("waiting", None)


def test_what_ended_long_ago_is_forgotten() -> None:
    assert states(beat(pid=1, silent=STOPPED_KEPT_SECONDS + 1, stopped=True)) == {}
    assert states(beat(pid=1, silent=STOPPED_KEPT_SECONDS + 1)) == {1: "gone"}
    assert states(beat(pid=1, silent=LOST_KEPT_SECONDS + 1)) == {}


def test_a_role_without_a_living_process_is_absent() -> None:
    assert absent(roles([beat("worker"), beat("trainer", silent=60)])) == ["trainer", "api"]


def test_live_processes_are_counted_by_role_and_a_needed_role_without_one_is_0() -> None:
    beats = [beat("worker", 1), beat("worker", 2), beat("worker", 3, stopped=True), beat("trainer", silent=60)]
    assert live_processes(beats) == {"worker": 2, "trainer": 0, "api": 0}


@pytest.mark.parametrize(
    ("process", "said"),
    [
        (beat(pid=7, silent=21.4), "worker host-a/7 is gone: has not reported for 21 s"),
        (beat(pid=7, silent=3, stopped=True), "worker host-a/7 is gone: stopped in order"),
        (beat(pid=7), "worker host-a/7 is working"),
    ],
)
def test_what_became_of_a_process_is_one_line(process: Heartbeat, said: str) -> None:
    assert [describe(role) for role in roles([process])] == [said]


def test_the_first_decision_is_a_window_after_the_impression_that_waited_longest() -> None:
    beats = [
        beat(pid=1, silent=2, assigned=[Assigned(0, 0, 3, 600.0), Assigned(1, 0, 0)]),
        beat(pid=2, silent=1, assigned=[Assigned(2, 0, 1, 60.0)]),
        beat(pid=3, silent=60, assigned=[Assigned(3, 0, 1, 1_700.0)]),  # gone: another worker has it by now
    ]
    assert first_decision(beats, window_seconds=1_800) == NOW + timedelta(seconds=1_800 - 600 - 2)
    assert first_decision(beats[2:], window_seconds=1_800) is None


def test_a_partition_has_the_owner_that_lives_and_is_undecided_up_to_the_end() -> None:
    held = ((0, 1_000), (80, 2_000))
    positions = [Position(n, 1, 1, 1, 5, Progress(100, 1_000, 90, 900, 0, held[: 2 * n])) for n in (0, 1)]
    beats = [
        beat(pid=1, assigned=[Assigned(0, 4, 2)]),
        beat(pid=2, silent=60, assigned=[Assigned(1, 0, 0)]),
    ]
    at, ceiling = datetime.fromtimestamp(1, UTC), datetime.fromtimestamp(2, UTC)
    assert partitions(positions, beats, {0: 110, 1: 100, 2: 7}) == [
        Partition(0, "host-a/1", unread=4, undecided=10, waiting=2, next=100, event_time=at, ceiling=None),
        Partition(1, None, unread=None, undecided=0, waiting=None, next=100, event_time=at, ceiling=ceiling),
        Partition(2, None, unread=None, undecided=7, waiting=None, next=None, event_time=None, ceiling=None),
    ]
    assert [each.undecided for each in partitions(positions, beats, None)] == [None, None]


def test_training_says_what_it_does_and_why_it_does_nothing() -> None:
    waits = asdict(Waits(False, False, False, 10, 1_500, 400, 200, 0.0, None))
    leading = [beat("trainer", pid=1), beat("trainer", pid=2, waits=waits)]
    going = Run(1, "amount", {}, NOW, None, None, (), None)
    ended = Run(1, "amount", {}, NOW, NOW, "failed", ("the store is full",), None)
    frozen = Freeze("ann", "clicks fell", NOW)
    found = training(leading, ACTIVE, None, ended, asked=True)
    assert (found.state, found.waits, found.last_reason, found.asked) == ("waiting", waits, "the store is full", True)
    assert training(leading, ACTIVE, frozen, ended, asked=False).state == "frozen"
    running = training(leading, ACTIVE, None, going, asked=False)
    assert (running.state, running.running_since, running.trigger) == ("running", NOW, "amount")
    assert training([beat("trainer", silent=60, waits=waits)], ACTIVE, None, going, asked=False).state == "no_trainer"
    assert training(leading, None, None, None, asked=False).state == "no_model"
