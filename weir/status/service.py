"""Whether the service is alive: roles, partitions, model and training, by the heartbeats and the tables.

Pure except `take`, which reads Postgres.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from importance.partition_progress import BEGINNING_OF_TIME_MS
from storage.engine import Engine
from storage.heartbeats import LOST_KEPT_SECONDS, STOPPED_KEPT_SECONDS, Heartbeat, Heartbeats, Model, State
from storage.progress import Position, Progresses
from storage.registry import FREEZES, Active, Registry
from storage.requests import Requests
from storage.runs import Run, Runs
from trainer.triggers import Waits
from weir.settings.topics import Measured
from weir.status.comparisons import LiveTests, live_tests
from weir.status.selection import SelectionStatus, SelectionSummary

NEEDED = ("worker", "trainer", "api")
"""The roles without which the service is degraded."""

GONE_SECONDS = 20.0
"""A process that has not reported for so long, four intervals, is gone. A busy machine delays a report by 1 or 2 s."""

Ends = Mapping[int, int]
"""Partition → the offset that the next record will have."""


@dataclass(frozen=True, slots=True)
class Role:
    """A process of the service. ``state`` is ``starting``, ``working``, ``not_ready`` or ``gone``.

    ``stopped``: it ended in order. ``silent_seconds`` have passed since its last report.
    """

    role: str
    host: str
    pid: int
    state: State | Literal["gone"]
    stopped: bool
    started: datetime
    seen: datetime
    silent_seconds: float
    reasons: Sequence[str]
    model: Model
    progressed: datetime | None
    error: str | None
    error_time: datetime | None

    @property
    def name(self) -> str:
        """Return role, host and process id: a host may run several processes of a role."""
        return f"{self.role} {self.host}/{self.pid}"


@dataclass(frozen=True, slots=True)
class Partition:
    """The progress of a partition.

    ``owner``: the live worker it is assigned to, None without one. ``unread``: records that the owner has not read;
    ``undecided``: those after the last decided one (some wait for their window), None where Kafka was not asked.
    ``ceiling``: how far records could move event time when the last of them was read, None before any was.
    """

    partition: int
    owner: str | None
    unread: int | None
    undecided: int | None
    waiting: int | None
    next: int | None
    event_time: datetime | None
    ceiling: datetime | None


@dataclass(frozen=True, slots=True)
class Freeze:
    """The actor, reason and time of the freeze."""

    actor: str
    reason: str
    time: datetime


@dataclass(frozen=True, slots=True)
class Training:
    """``state``: ``running`` (since ``running_since``), ``frozen``, ``no_trainer``, ``no_model``, or ``waiting``.

    ``waits`` is what a trainer last reported about its next run (see `trainer.triggers.Waits`), None where none did;
    ``asked``: an operator's request is not fulfilled yet.
    """

    state: Literal["running", "frozen", "no_trainer", "no_model", "waiting"]
    asked: bool
    running_since: datetime | None
    trigger: str | None
    frozen: Freeze | None
    waits: Mapping[str, Any] | None
    last_result: str | None
    last_reason: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the service at one moment.

    ``absent``: needed roles without a live process; ``degraded``: a line for each of them, and for each process that
    vanished and was not replaced. ``kafka``: why the broker could not be queried, None when it answered.
    ``live_tests``: what is compared with the active version on live traffic. ``selection``: whether it helps.
    """

    absent: Sequence[str]
    degraded: Sequence[str]
    roles: Sequence[Role]
    kafka: str | None
    partitions: Sequence[Partition]
    active: str | None
    sequence: int | None
    training: Training
    live_tests: LiveTests
    selection: SelectionSummary


def describe(role: Role) -> str:
    """Return the state of a process in one line."""
    if role.state != "gone":
        return f"{role.name} is {role.state.replace('_', ' ')}" + (
            f": {'; '.join(role.reasons)}" if role.reasons else ""
        )
    how = "stopped in order" if role.stopped else "has not reported for"
    return f"{role.name} is gone: {how}" + ("" if role.stopped else f" {role.silent_seconds:.0f} s")


def is_alive(heartbeat: Heartbeat) -> bool:
    """Return whether the process has reported within `GONE_SECONDS` and has not stopped."""
    return not heartbeat.stopped and heartbeat.silent_seconds <= GONE_SECONDS


def live_processes(heartbeats: Iterable[Heartbeat]) -> dict[str, int]:
    """Return the number of live processes by role; 0 for a needed role without one."""
    alive = Counter(heartbeat.process.role for heartbeat in heartbeats if is_alive(heartbeat))
    return dict.fromkeys(NEEDED, 0) | alive


def first_decision(heartbeats: Iterable[Heartbeat], window_seconds: float) -> datetime | None:
    """Return when the next impression is decided if event time now follows the wall clock; None if none waits."""
    waits = (
        heartbeat.seen + timedelta(seconds=max(0.0, window_seconds - assigned.waited_seconds))
        for heartbeat in heartbeats
        if is_alive(heartbeat)
        for assigned in heartbeat.report.partitions
        if assigned.waited_seconds is not None
    )
    return min(waits, default=None)


def roles(heartbeats: Iterable[Heartbeat]) -> list[Role]:
    """Return the live processes, and the gone ones that were not replaced.

    A process replaces one of its role that was last seen before it started, so a restarted process appears once.
    """
    found: list[Role] = []
    for heartbeat in heartbeats:
        kept_seconds = STOPPED_KEPT_SECONDS if heartbeat.stopped else LOST_KEPT_SECONDS
        if heartbeat.silent_seconds <= kept_seconds:
            found.append(_role(heartbeat, not is_alive(heartbeat)))
    replaced: set[int] = set()
    for role in found:
        if role.state == "gone":
            continue
        gone = [i for i, each in enumerate(found) if i not in replaced and _replaces(role, each)]
        replaced.update(gone[:1])
    return [role for i, role in enumerate(found) if i not in replaced]


def _role(heartbeat: Heartbeat, is_gone: bool) -> Role:
    report = heartbeat.report
    return Role(
        role=heartbeat.process.role,
        host=heartbeat.process.host,
        pid=heartbeat.process.pid,
        state="gone" if is_gone else report.state,
        stopped=heartbeat.stopped,
        started=heartbeat.started,
        seen=heartbeat.seen,
        silent_seconds=round(heartbeat.silent_seconds, 1),
        reasons=report.reasons,
        model=report.model,
        progressed=report.progressed,
        error=report.error,
        error_time=report.error_time,
    )


def _replaces(role: Role, other: Role) -> bool:
    return other.state == "gone" and other.role == role.role and other.seen <= role.started


def absent(found: Iterable[Role]) -> list[str]:
    """Return the needed roles without a live process."""
    alive = {role.role for role in found if role.state != "gone"}
    return [role for role in NEEDED if role not in alive]


def degraded(found: Sequence[Role], remedy: Callable[[str], str]) -> list[str]:
    """Return one line for each absent role, and for each lost process of a role that still has another one.

    ``remedy`` returns what to do about an absent role.
    """
    missing = absent(found)
    lost = (role for role in found if role.state == "gone" and not role.stopped and role.role not in missing)
    return [f"no {role} is running: {remedy(role)}" for role in missing] + [describe(role) for role in lost]


def partitions(positions: Iterable[Position], heartbeats: Iterable[Heartbeat], ends: Ends | None) -> list[Partition]:
    """Return each partition that was ever read, is assigned to a live worker, or is in the topic."""
    at = {position.partition: position for position in positions}
    owners = {
        assigned.partition: (f"{heartbeat.process.host}/{heartbeat.process.pid}", assigned)
        for heartbeat in heartbeats
        if is_alive(heartbeat)
        for assigned in heartbeat.report.partitions
    }
    found = []
    for number in sorted({*at, *owners, *(ends or {})}):
        progress = at[number].progress if number in at else None
        owner, assigned = owners.get(number, (None, None))
        end = None if ends is None else ends.get(number)
        found.append(
            Partition(
                partition=number,
                owner=owner,
                unread=assigned.unread if assigned else None,
                undecided=None if end is None else max(0, end - (progress.next if progress else 0)),
                waiting=assigned.waiting if assigned else None,
                next=progress.next if progress else None,
                event_time=_event_time(progress.event_time_ms) if progress else None,
                ceiling=_event_time(progress.ceilings[-1][1]) if progress and progress.ceilings else None,
            )
        )
    return found


def _event_time(milliseconds: int) -> datetime | None:
    return None if milliseconds == BEGINNING_OF_TIME_MS else datetime.fromtimestamp(milliseconds / 1_000, UTC)


def training(
    heartbeats: Iterable[Heartbeat], active: Active | None, frozen: Freeze | None, run: Run | None, asked: bool
) -> Training:
    """Return the state of training, or why it does not run. ``run``: the last one."""
    alive = [heartbeat for heartbeat in heartbeats if heartbeat.process.role == "trainer" and is_alive(heartbeat)]
    reports = [heartbeat.report.training for heartbeat in alive if heartbeat.report.training]
    led = next((report for report in reports if report.get("leads")), {})
    going = run is not None and run.ended is None
    state: Literal["running", "frozen", "no_trainer", "no_model", "waiting"]
    if not alive:
        state = "no_trainer"
    elif going:
        state = "running"
    elif frozen is not None:
        state = "frozen"
    else:
        state = "no_model" if active is None else "waiting"
    return Training(
        state=state,
        asked=asked,
        running_since=run.started if run and state == "running" else None,
        trigger=run.trigger if run and state == "running" else None,
        frozen=frozen,
        waits=_waits(led.get("waits")),
        last_result=run.result if run else None,
        last_reason=run.reasons[0] if run and run.reasons else None,
    )


def _waits(found: object) -> Mapping[str, Any] | None:
    """Return what a trainer's next run waits for; None for a trainer of a release with other fields."""
    try:
        return asdict(msgspec.convert(found, Waits))
    except msgspec.ValidationError:
        return None


def freeze_of(registry: Registry) -> Freeze | None:
    """Return the actor and reason of the freeze; None while training is not frozen."""
    entry = registry.last_entry(FREEZES) if registry.frozen() else None
    return None if entry is None else Freeze(entry.actor, entry.reason, entry.time)


def take(
    engine: Engine, topic: Measured, remedy: Callable[[str], str], selection: Callable[[], SelectionStatus]
) -> Status:
    """Read the status of the service; ``topic`` has no end offsets without Kafka.

    ``remedy``: see `degraded`; ``selection`` reads its status.
    """
    registry, heartbeats = Registry(engine), Heartbeats(engine).all()
    active = registry.active()
    known = roles(heartbeats)
    positions = [] if topic.id is None else Progresses(engine, topic.id).positions()
    return Status(
        absent=absent(known),
        degraded=degraded(known, remedy),
        roles=known,
        kafka=topic.trouble,
        partitions=partitions(positions, heartbeats, topic.ends if topic.id else None),
        active=active.version if active else None,
        sequence=active.sequence if active else None,
        training=training(heartbeats, active, freeze_of(registry), Runs(engine).last(), Requests(engine).waits()),
        live_tests=live_tests(registry.comparisons, active.version if active else None),
        selection=SelectionSummary.of(selection()),
    )
