"""Training runs: what triggered each, what it was given, and how it ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from time import time
from typing import Any

import sqlalchemy as sa

from storage import tables
from storage.engine import transaction


class RunResult(StrEnum):
    """How a run ended."""

    PROMOTED = "promoted"
    REJECTED = "rejected"  # by the gate
    SHADOW = "shadow"  # it passed the gate; live traffic decides
    SUPERSEDED = "superseded"  # by a promotion, rollback or freeze during the run
    ABANDONED = "abandoned"  # its trainer died; found by the next trainer
    INTERRUPTED = "interrupted"
    FAILED = "failed"


LEARNED = (RunResult.PROMOTED, RunResult.REJECTED, RunResult.SHADOW, RunResult.SUPERSEDED)
"""The results of runs that were completed. After any other, its samples still count as new."""
RESULTS = (*LEARNED, RunResult.INTERRUPTED, RunResult.FAILED)
"""The results that a run's own trainer records; an abandoned run is recorded by the next trainer."""


_REQUEST = {
    "asked_by": sa.select(tables.training_requests.c.actor).scalar_subquery(),
    "asked_why": sa.select(tables.training_requests.c.reason).scalar_subquery(),
}


@dataclass(frozen=True, slots=True)
class Run:
    """A training run; ``ended`` and ``result`` are None while it runs.

    ``asked_by`` and ``asked_why``: the operator whose request it fulfils, if there is one, and the reason given.
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

    def finish(self, run: int, result: RunResult, reasons: Sequence[str] = (), candidate: str | None = None) -> None:
        """Note how a run ended. One that was carried through fulfils the operator's request; of others it stays."""
        ended = tables.training_runs.c.id == run
        with transaction(self._engine) as connection:
            if result in LEARNED:
                came = sa.update(tables.training_runs).where(ended, tables.training_runs.c.asked_by.is_(None))
                connection.execute(came.values(_REQUEST))  # one that came during the run becomes one with it
                connection.execute(sa.delete(tables.training_requests))
            self._end(connection, ended, result=result, reasons=list(reasons), candidate=candidate)

    def abandon(self) -> None:
        """End the runs of trainers that died: to be called by the one that just got the right to train."""
        with transaction(self._engine) as connection:
            self._end(connection, sa.true(), result=RunResult.ABANDONED, reasons=["its trainer ended before it did"])

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

    def _end(self, connection: sa.Connection, which: sa.ColumnElement[bool], **values: object) -> None:
        row = tables.training_runs
        connection.execute(sa.update(row).where(which, row.c.ended.is_(None)).values(ended=self._now(), **values))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)


def _run(row: sa.Row[Any]) -> Run:
    columns = row._asdict()
    return Run(**columns | {"result": None if row.result is None else RunResult(row.result)})
