"""Whether everything is alive: roles, partitions, model and training as the heartbeats and the tables tell.

Pure but for `take`, which reads Postgres. Knows nothing of how it is shown.
"""

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

NEEDED = ("worker", "trainer", "api")
"""Without one of these the service does not do what it is for."""

GONE_SECONDS = 20.0
"""A process that was silent for so long, four reports, is gone. A busy machine delays a report by a second or two."""

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
        """For a person: which process.

        A host may run several of a role, so the process id belongs to it.
        """
        return f"{self.role} {self.host}/{self.pid}"


@dataclass(frozen=True, slots=True)
class Partition:
    """How far a partition is.

    ``owner``: the worker that has it, None when no living one does. ``unread``: records that the owner has not read;
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
    """Who stopped training, when and why."""

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
    """Everything at one moment.

    ``absent``: needed roles of which no process lives; ``degraded``: a line for each of them, and for each process
    that vanished and was not replaced. ``kafka``: why the broker could not be asked, None when it answered.
    """

    absent: Sequence[str]
    degraded: Sequence[str]
    roles: Sequence[Role]
    kafka: str | None
    partitions: Sequence[Partition]
    active: str | None
    sequence: int | None
    training: Training


def describe(role: Role) -> str:
    """What became of a process, in one line."""
    if role.state != "gone":
        return f"{role.name} is {role.state.replace('_', ' ')}" + (
            f": {'; '.join(role.reasons)}" if role.reasons else ""
        )
    how = "stopped in order" if role.stopped else "has not reported for"
    return f"{role.name} is gone: {how}" + ("" if role.stopped else f" {role.silent_seconds:.0f} s")


def lives(beat: Heartbeat) -> bool:
    """Whether the process reported lately, and not that it stopped."""
    return not beat.stopped and beat.silent_seconds <= GONE_SECONDS


def first_decision(beats: Iterable[Heartbeat], window_seconds: float) -> datetime | None:
    """When the next impression is decided if event time runs with the wall clock from now on; None if none waits."""
    waits = (
        beat.seen + timedelta(seconds=max(0.0, window_seconds - assigned.waited_seconds))
        for beat in beats
        if lives(beat)
        for assigned in beat.report.partitions
        if assigned.waited_seconds is not None
    )
    return min(waits, default=None)


def roles(beats: Iterable[Heartbeat]) -> list[Role]:
    """The processes that matter now: those that live, and of the gone ones those that nothing replaced.

    A process replaces one of its role that was last seen before it started, so a restart leaves no trace.
    """
    found: list[Role] = []
    for beat in beats:
        kept_seconds = STOPPED_KEPT_SECONDS if beat.stopped else LOST_KEPT_SECONDS
        if beat.silent_seconds <= kept_seconds:
            found.append(_role(beat, not lives(beat)))
    replaced: set[int] = set()
    for role in found:
        if role.state == "gone":
            continue
        gone = [i for i, each in enumerate(found) if i not in replaced and _replaces(role, each)]
        replaced.update(gone[:1])
    return [role for i, role in enumerate(found) if i not in replaced]


def _role(beat: Heartbeat, is_gone: bool) -> Role:
    report = beat.report
    return Role(
        role=beat.process.role,
        host=beat.process.host,
        pid=beat.process.pid,
        state="gone" if is_gone else report.state,
        stopped=beat.stopped,
        started=beat.started,
        seen=beat.seen,
        silent_seconds=round(beat.silent_seconds, 1),
        reasons=report.reasons,
        model=report.model,
        progressed=report.progressed,
        error=report.error,
        error_time=report.error_time,
    )


def _replaces(role: Role, other: Role) -> bool:
    return other.state == "gone" and other.role == role.role and other.seen <= role.started


def absent(found: Iterable[Role]) -> list[str]:
    """The needed roles of which no process lives."""
    alive = {role.role for role in found if role.state != "gone"}
    return [role for role in NEEDED if role not in alive]


def degraded(found: Sequence[Role], remedy: Callable[[str], str]) -> list[str]:
    """One line for each thing that should be there and is not: a role, or one of several processes of a role.

    ``remedy`` says what to do about an absent role.
    """
    missing = absent(found)
    lost = (role for role in found if role.state == "gone" and not role.stopped and role.role not in missing)
    return [f"no {role} is running: {remedy(role)}" for role in missing] + [describe(role) for role in lost]


def partitions(positions: Iterable[Position], beats: Iterable[Heartbeat], ends: Ends | None) -> list[Partition]:
    """Each partition that was ever read, is assigned to a living worker, or is in the topic."""
    at = {position.partition: position for position in positions}
    owners = {
        assigned.partition: (f"{beat.process.host}/{beat.process.pid}", assigned)
        for beat in beats
        if lives(beat)
        for assigned in beat.report.partitions
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
    beats: Iterable[Heartbeat], active: Active | None, frozen: Freeze | None, run: Run | None, asked: bool
) -> Training:
    """What training does, or why it does nothing. ``run``: the last one."""
    alive = [beat for beat in beats if beat.process.role == "trainer" and lives(beat)]
    reports = [beat.report.training for beat in alive if beat.report.training]
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
    """What a trainer's next run waits for; None where a trainer of another release names it otherwise."""
    try:
        return asdict(msgspec.convert(found, Waits))
    except msgspec.ValidationError:
        return None


def freeze_of(registry: Registry) -> Freeze | None:
    """Who froze training and why, None while it is not frozen."""
    entry = registry.last_entry(FREEZES) if registry.frozen() else None
    return None if entry is None else Freeze(entry.actor, entry.reason, entry.time)


def take(engine: Engine, topic: Measured, remedy: Callable[[str], str]) -> Status:
    """Read everything of ``topic``, of which less is known while Kafka is unavailable; ``remedy`` as in `degraded`."""
    registry, beats = Registry(engine), Heartbeats(engine).all()
    active = registry.active()
    known = roles(beats)
    positions = [] if topic.id is None else Progresses(engine, topic.id).positions()
    return Status(
        absent=absent(known),
        degraded=degraded(known, remedy),
        roles=known,
        kafka=topic.trouble,
        partitions=partitions(positions, beats, topic.ends if topic.id else None),
        active=active.version if active else None,
        sequence=active.sequence if active else None,
        training=training(beats, active, freeze_of(registry), Runs(engine).last(), Requests(engine).waits()),
    )
