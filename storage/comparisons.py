"""Versions that are compared on live traffic: the candidate in shadow, and the version before the active one.

What starts and ends a comparison is written in the transaction that moves the promotion log; results are added in the
transaction that stores their samples. So each subject counts once, whatever process dies when.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from importance.flush import Flush
from importance.scores import MIRROR, SHADOW
from importance.sequential import Results
from storage import tables
from storage.engine import transaction

MAX_SUBJECTS = 100_000
"""Subjects of one comparison, and one flush of each partition more: then workers add nothing, whoever should end it."""


class LiveTest(StrEnum):
    """What is compared with the active version; the values are the names of the predictors."""

    SHADOW = SHADOW  # a candidate that passed the gate
    MIRROR = MIRROR  # the version before, after a promotion


class Ending(StrEnum):
    """How a comparison ended."""

    PROMOTED = "promoted"
    REJECTED = "rejected"
    PROPOSED = "rollback_proposed"
    ROLLED_BACK = "rolled_back"
    KEPT = "kept"  # the mirror test found nothing
    SUPERSEDED = "superseded"  # by a promotion, rollback or freeze


@dataclass(frozen=True, slots=True)
class Comparison:
    """``version`` is compared with ``against``, which is active, since entry ``sequence`` of the promotion log.

    ``ended``, ``result`` and ``reason`` are None while it runs. ``results`` are those of ``version``.
    """

    id: int
    test: LiveTest
    version: str
    against: str
    sequence: int
    started: datetime
    ended: datetime | None
    result: Ending | None
    reason: str | None
    results: Results


_ADD = sa.text("""
    WITH given AS (
        SELECT * FROM unnest(CAST(:subjects AS bigint[]), CAST(:gains AS bigint[])) AS given (subject, gain)
    ), running AS (
        SELECT id FROM comparisons
        WHERE test = :test AND version = :version AND against = :against AND ended IS NULL
    ), fresh AS (
        INSERT INTO comparison_subjects (comparison, subject)
        SELECT running.id, given.subject FROM running CROSS JOIN given
        WHERE (SELECT coalesce(sum(wins + losses + ties), 0) FROM comparison_results WHERE comparison = running.id)
              < :max_subjects
        ORDER BY given.subject
        ON CONFLICT DO NOTHING
        RETURNING comparison, subject
    )
    INSERT INTO comparison_results AS stored (comparison, topic_id, partition, wins, losses, ties)
    SELECT comparison, :topic, :partition,
           count(*) FILTER (WHERE gain > 0), count(*) FILTER (WHERE gain < 0), count(*) FILTER (WHERE gain = 0)
    FROM fresh JOIN given USING (subject) GROUP BY comparison
    ON CONFLICT (comparison, topic_id, partition) DO UPDATE
    SET wins = stored.wins + excluded.wins, losses = stored.losses + excluded.losses, ties = stored.ties + excluded.ties
""")
_END = sa.text("""
    UPDATE comparisons c SET ended = now(), result = :result, reason = :reason,
                             wins = s.wins, losses = s.losses, ties = s.ties
    FROM (SELECT coalesce(sum(wins), 0) AS wins, coalesce(sum(losses), 0) AS losses, coalesce(sum(ties), 0) AS ties
          FROM comparison_results WHERE comparison = :id) s
    WHERE c.id = :id AND c.ended IS NULL
""")


def add(connection: sa.Connection, topic_id: UUID, flush: Flush) -> None:
    """Add the results of subjects that did not count before, in the transaction that holds the progress row.

    Nothing where no such comparison runs any more. Subjects are inserted in order, so that partitions do not deadlock.
    """
    for pair, gains in sorted(flush.gains.items()):
        if gains:
            values = {
                "test": pair.predictor,
                "version": pair.version,
                "against": pair.against,
                "subjects": list(gains),
                "gains": list(gains.values()),
                "topic": topic_id,
                "partition": flush.partition,
                "max_subjects": MAX_SUBJECTS,
            }
            connection.execute(_ADD, values)


def start(connection: sa.Connection, test: LiveTest, version: str, against: str, sequence: int) -> None:
    """Start a comparison, in the transaction that holds the pointer; none of that test may run."""
    values = {"test": test, "version": version, "against": against, "sequence": sequence}
    connection.execute(sa.insert(tables.comparisons).values(values))


def end(connection: sa.Connection, comparison: int, result: Ending, reason: str) -> bool:
    """End a comparison unless it has ended; False then.

    It waits for no flush: a worker that hangs in a transaction must not delay a rollback. What such a flush still adds
    counts no more, and `Comparisons.forget_ended` removes it.
    """
    return connection.execute(_END, {"id": comparison, "result": result, "reason": reason}).rowcount > 0


def running(connection: sa.Connection, test: LiveTest | None = None) -> list[Comparison]:
    """Return the comparisons that run, of one test or all; their results so far included."""
    row = tables.comparisons
    wanted = _SELECTED.where(row.c.ended.is_(None)).order_by(row.c.id)
    return [
        _comparison(found) for found in connection.execute(wanted if test is None else wanted.where(row.c.test == test))
    ]


class Comparisons:
    """The comparisons, as a trainer decides them and a role shows them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def running(self) -> list[Comparison]:
        """Return the comparisons that run, at most one of each test."""
        with transaction(self._engine) as connection:
            return running(connection)

    def last(self, test: LiveTest) -> Comparison | None:
        """Return the newest comparison of a test, running or not; None before the first."""
        row = tables.comparisons
        wanted = _SELECTED.where(row.c.test == test).order_by(row.c.id.desc()).limit(1)
        with transaction(self._engine) as connection:
            found = connection.execute(wanted).one_or_none()
        return None if found is None else _comparison(found)

    def proposal(self, active: str) -> Comparison | None:
        """Return the mirror test that proposed to roll the active version back; None if the last one did not."""
        found = self.last(LiveTest.MIRROR)
        return found if found and found.result is Ending.PROPOSED and found.against == active else None

    def forget_ended(self) -> None:
        """Delete the subjects and the results by partition of comparisons that have ended."""
        ended = sa.select(tables.comparisons.c.id).where(tables.comparisons.c.ended.is_not(None))
        with transaction(self._engine) as connection:
            for table in (tables.comparison_results, tables.comparison_subjects):
                connection.execute(sa.delete(table).where(table.c.comparison.in_(ended)))

    def end(self, comparison: int, result: Ending, reason: str) -> bool:
        """End a comparison that moves nothing; False when it has ended already."""
        with transaction(self._engine) as connection:
            return end(connection, comparison, result, reason)


def _so_far(name: str) -> sa.ScalarSelect[Any]:
    of = tables.comparison_results
    total = sa.func.coalesce(sa.func.sum(of.c[name]), 0)
    running = tables.comparisons.c.ended.is_(None)
    return sa.select(total).where(of.c.comparison == tables.comparisons.c.id, running).scalar_subquery()


_SELECTED = sa.select(
    tables.comparisons, *(_so_far(name).label(f"{name}_so_far") for name in ("wins", "losses", "ties"))
)


def _comparison(row: sa.Row[Any]) -> Comparison:
    return Comparison(
        id=row.id,
        test=LiveTest(row.test),
        version=row.version,
        against=row.against,
        sequence=row.sequence,
        started=row.started,
        ended=row.ended,
        result=None if row.result is None else Ending(row.result),
        reason=row.reason,
        results=Results(
            int(row.wins + row.wins_so_far), int(row.losses + row.losses_so_far), int(row.ties + row.ties_so_far)
        ),
    )
