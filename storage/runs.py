"""Training runs: what triggered each, what it was given, and how it ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from time import time
from typing import Any

import sqlalchemy as sa

from importance.errors import Unavailable
from storage import tables
from storage.engine import transaction
from storage.lock import TrainerLock


class RunResult(StrEnum):
    """How a run ended."""

    PROMOTED = "promoted"
    REJECTED = "rejected"  # by the gate
    SHADOW = "shadow"  # it passed the gate; live traffic decides
    SUPERSEDED = "superseded"  # by a promotion, rollback, freeze, or results against its parent during the run
    ABANDONED = "abandoned"  # its trainer died, and it could not be resumed; found by the next trainer
    INTERRUPTED = "interrupted"  # told to stop, before its first checkpoint
    FAILED = "failed"


LEARNED = (RunResult.PROMOTED, RunResult.REJECTED, RunResult.SHADOW, RunResult.SUPERSEDED)
"""The results of runs that were completed, or superseded before. After any other, its samples still count as new."""
RESULTS = tuple(RunResult)


_REQUEST = {
    "asked_by": sa.select(tables.training_requests.c.actor).scalar_subquery(),
    "asked_why": sa.select(tables.training_requests.c.reason).scalar_subquery(),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A training run; ``ended`` and ``result`` are None while it runs.

    ``asked_by`` and ``asked_why``: the operator whose request it fulfils, if there is one, and the reason given.
    ``resumed``: how often a trainer continued it after another died, from ``checkpoint``, which names its files.
    """

    id: int
    trigger: str
    inputs: Mapping[str, Any]
    started: datetime
    ended: datetime | None
    result: RunResult | None
    reasons: Sequence[str]
    candidate: str | None
    asked_by: str | None = None
    asked_why: str | None = None
    resumed: int = 0
    checkpoint: Mapping[str, Any] | None = None


class Runs:
    """The table of training runs. ``clock`` gives seconds since the epoch."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time) -> None:
        self._engine = engine
        self._clock = clock

    def start(self, trigger: str, inputs: Mapping[str, Any]) -> int:
        """Record the start of a run, what decided it, and the request that waits for it; returns its id."""
        row = tables.training_runs
        values = {"trigger": trigger, "inputs": dict(inputs), "started": self._now(), **_REQUEST}
        with transaction(self._engine) as connection:
            return int(connection.scalar(sa.insert(row).values(values).returning(row.c.id)) or 0)

    def finish(
        self,
        run: int,
        result: RunResult,
        reasons: Sequence[str] = (),
        candidate: str | None = None,
        resumed: int = 0,
    ) -> bool:
        """Record how a run ended; False, and nothing is recorded, when it has ended or another trainer resumed it.

        One that was carried through fulfils the operator's request; of others it stays. Without a ``candidate`` the
        run keeps the one that it proposed.
        """
        row = tables.training_runs
        end = {"ended": self._now(), "result": result, "reasons": list(reasons), "checkpoint": sa.null()}
        if candidate is not None:
            end["candidate"] = candidate
        with transaction(self._engine) as connection:
            ended = connection.execute(sa.update(row).where(*_runs(run, resumed)).values(end))
            if ended.rowcount and result in LEARNED:
                came = sa.update(row).where(row.c.id == run, row.c.asked_by.is_(None))
                connection.execute(came.values(_REQUEST))  # one that came during the run becomes one with it
                connection.execute(sa.delete(tables.training_requests))
        return bool(ended.rowcount)

    def left(self) -> list[Run]:
        """Return the runs that have not ended, oldest first: what dead trainers left, for the next one."""
        row = tables.training_runs
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(row).where(row.c.ended.is_(None)).order_by(row.c.id)).all()
        return [_run(each) for each in found]

    def resume(self, run: Run, lock: TrainerLock) -> int:
        """Count that a run is resumed; returns how often it was. Its trainer before can then record nothing of it.

        It has no candidate then: that it is rejected, to be made again, must not be taken for how the run ended.
        """
        with lock.transaction() as connection:
            return _set(connection, run.id, run.resumed, {"resumed": run.resumed + 1, "candidate": None})

    def keep(self, run: int, resumed: int, checkpoint: Mapping[str, Any], lock: TrainerLock) -> None:
        """Record the files to resume a run from."""
        with lock.transaction() as connection:
            _set(connection, run, resumed, {"checkpoint": dict(checkpoint)})

    def propose(self, run: int, resumed: int, candidate: str, on: sa.Connection) -> None:
        """Record the version that a run registers: what becomes of it is the run's end, should its trainer die.

        A part of the transaction of a connection, which is that of the registration: no candidate is without its run.
        """
        _set(on, run, resumed, {"candidate": candidate})

    def latest(self, count: int = 1, results: Sequence[RunResult] = ()) -> list[Run]:
        """Return the last runs, newest first; with ``results`` only those that ended so."""
        row = tables.training_runs
        wanted = sa.select(row).order_by(row.c.id.desc()).limit(count)
        with transaction(self._engine) as connection:
            found = connection.execute(wanted.where(row.c.result.in_(results)) if results else wanted).all()
        return [_run(each) for each in found]

    def last(self, results: Sequence[RunResult] = ()) -> Run | None:
        """Return the last run; with ``results`` the last that ended so."""
        return next(iter(self.latest(1, results)), None)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _runs(run: int, resumed: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Return whether it is this run, still running, and not resumed by another since."""
    row = tables.training_runs
    return row.c.id == run, row.c.ended.is_(None), row.c.resumed == resumed


def _set(connection: sa.Connection, run: int, resumed: int, values: Mapping[str, object]) -> int:
    """Change a run in the session that holds the right to train; Unavailable when that is another's by now."""
    row = tables.training_runs
    found = connection.scalar(sa.update(row).where(*_runs(run, resumed)).values(values).returning(row.c.resumed))
    if found is None:
        raise Unavailable(f"run {run} has ended, or another trainer resumed it: nothing is recorded of it here")
    return int(found)


def _run(row: sa.Row[Any]) -> Run:
    columns = row._asdict()
    return Run(**columns | {"result": None if row.result is None else RunResult(row.result)})
