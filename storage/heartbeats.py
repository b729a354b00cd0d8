"""The heartbeats of the service's processes: a row for each process, which it writes every few seconds.

All times are by the database's clock: whether a process is gone does not depend on the clocks of hosts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from storage import tables
from storage.engine import transaction

STOPPED_KEPT_SECONDS = 600.0
"""How long a process that stopped in order is still reported: a rolling update leaves one behind for each replica."""

LOST_KEPT_SECONDS = 86_400.0
"""How long a process that vanished is still reported, unless another one has replaced it."""

FOREIGN = "reported by another release"
"""The reason of a report that this one cannot read."""

State = Literal["starting", "working", "not_ready"]
SwapState = Literal["none", "loading", "serving", "refused"]


@dataclass(frozen=True, slots=True)
class Process:
    """A process of the service; ``id`` is its own, a restarted one has another."""

    id: UUID
    role: str
    host: str
    pid: int


@dataclass(frozen=True, slots=True)
class Assigned:
    """A partition of a worker. ``unread``: records to its end; ``waiting``: impressions whose window is open.

    ``waited_seconds``: how long the impression that is decided next has waited, in event time; None if none waits.
    """

    partition: int
    unread: int
    waiting: int
    waited_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """The version that a process uses, and as of which entry of the log.

    ``swap``: ``none`` before the first version, ``loading`` while another one is fetched, ``serving``, or ``refused``
    when the active version cannot be served (``trouble`` gives the reason) and an earlier one is.
    """

    version: str | None = None
    sequence: int | None = None
    swap: SwapState = "none"
    trouble: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a process reports. ``progressed``: when it last completed a piece of work, by its host's clock.

    ``training`` holds what a trainer's next run waits for, as `trainer.triggers` names it.
    """

    state: State
    reasons: Sequence[str] = ()
    model: Model = Model()
    progressed: datetime | None = None
    error: str | None = None
    error_time: datetime | None = None
    partitions: Sequence[Assigned] = ()
    training: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A process and its last report; ``silent_seconds`` have passed since, by the database's clock."""

    process: Process
    started: datetime
    seen: datetime
    silent_seconds: float
    stopped: bool
    report: Report


class Heartbeats:
    """The table of heartbeats."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def write(self, process: Process, uptime_seconds: float, report: Report, *, stopped: bool = False) -> None:
        """Replace the process's row: one statement. ``stopped``: it ends in order, and this is its last report."""
        row, now = tables.heartbeats, sa.func.now()
        values = {"seen": now, "stopped": stopped, "report": msgspec.to_builtins(report)}
        first = insert(row).values(
            id=process.id,
            role=process.role,
            host=process.host,
            pid=process.pid,
            started=now - sa.func.make_interval(0, 0, 0, 0, 0, 0, uptime_seconds),
            **values,
        )
        with transaction(self._engine) as connection:
            connection.execute(first.on_conflict_do_update(index_elements=[row.c.id], set_=values))

    def prune(self) -> int:
        """Remove the rows of processes that ended long ago; returns how many."""
        row = tables.heartbeats
        kept = sa.case((row.c.stopped, STOPPED_KEPT_SECONDS), else_=LOST_KEPT_SECONDS)
        with transaction(self._engine) as connection:
            return connection.execute(sa.delete(row).where(_silent_seconds() > kept)).rowcount

    def all(self) -> list[Heartbeat]:
        """Return every row, by role and start."""
        row = tables.heartbeats
        wanted = sa.select(row, _silent_seconds().label("silent")).order_by(row.c.role, row.c.started, row.c.id)
        with transaction(self._engine) as connection:
            found = connection.execute(wanted).all()
        return [
            Heartbeat(
                Process(each.id, each.role, each.host, each.pid),
                each.started,
                each.seen,
                max(0.0, float(each.silent)),
                each.stopped,
                _read(each.report),
            )
            for each in found
        ]


def _read(report: object) -> Report:
    """Return what a process reported; for a release with unknown states, that it cannot be judged."""
    try:
        return msgspec.convert(report, Report)
    except msgspec.ValidationError:
        return Report("not_ready", reasons=(FOREIGN,))


def _silent_seconds() -> sa.ColumnElement[float]:
    return sa.cast(sa.extract("epoch", sa.func.now() - tables.heartbeats.c.seen), sa.Float)
