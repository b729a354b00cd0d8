"""The items that each subject had to do with last: the context of its rankings.

The buffer holds a chosen part of the stream; here is every decided sample with a label of 1, for a while. Written in
the transaction that stores a flush, so that a sample counts once; what is kept is the newest by event time, whatever
the order in which they come. Bounded per subject, and in rows over all subjects. An action that comes after its sample
was decided adds nothing: it names the impression alone, and of an impression that the buffer did not admit nothing is
known any more, so what a subject had to do with would depend on selection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from importance.errors import InvalidInput
from importance.sample import Sample
from storage.engine import transaction

# Sorted, so that two workers with the same subjects wait for each other instead of locking each other out.
_ADD = sa.text("""
    INSERT INTO recent_items AS r (subject, item, text, time_ms)
    SELECT * FROM unnest(
        CAST(:subjects AS text[]), CAST(:items AS text[]), CAST(:texts AS text[]), CAST(:times_ms AS bigint[])
    ) AS given (subject, item, text, time_ms)
    ORDER BY subject COLLATE "C", item COLLATE "C"
    ON CONFLICT (subject, item) DO UPDATE SET text = excluded.text, time_ms = excluded.time_ms
    WHERE r.time_ms < excluded.time_ms
""")
# A trim waits for no lock, so that it is part of no deadlock: what another worker has just written stays until the next
# one. A row that has become newer since it was found stays, too.
_DELETE_SURPLUS = """
    WITH surplus AS MATERIALIZED ({surplus}), locked AS MATERIALIZED (
        SELECT r.subject, r.item FROM recent_items r JOIN surplus USING (subject, item, time_ms)
        FOR UPDATE OF r SKIP LOCKED
    )
    DELETE FROM recent_items r USING locked WHERE r.subject = locked.subject AND r.item = locked.item
"""
_OF_SUBJECTS = """
    SELECT subject, item, time_ms FROM (
        SELECT *, row_number() OVER (PARTITION BY subject ORDER BY time_ms DESC, item) AS rank
        FROM recent_items WHERE subject = ANY(CAST(:subjects AS text[]))
    ) AS ranked WHERE rank > :per_subject
"""
_OF_ALL = """
    SELECT subject, item, time_ms FROM recent_items WHERE time_ms <= (
        SELECT time_ms FROM recent_items ORDER BY time_ms DESC OFFSET :max_rows LIMIT 1
    )
"""
_TRIM_SUBJECTS = sa.text(_DELETE_SURPLUS.format(surplus=_OF_SUBJECTS))
_TRIM_ALL = sa.text(_DELETE_SURPLUS.format(surplus=_OF_ALL))
_READ = sa.text("""
    SELECT text FROM recent_items WHERE subject = :subject ORDER BY time_ms DESC, item LIMIT :per_subject
""")


@dataclass(frozen=True, slots=True)
class RecentLimits:
    """Items kept of one subject, and rows kept of all."""

    per_subject: int
    max_rows: int = 1_000_000

    def __post_init__(self) -> None:
        """Refuse bounds that keep nothing."""
        if self.per_subject < 1 or self.max_rows < 1:
            raise InvalidInput(f"{self} keeps nothing; both bounds must be at least 1")


class RecentItems:
    """Reads and adds the items of subjects. `add` is for one thread of a partition at a time."""

    def __init__(self, limits: RecentLimits) -> None:
        self._limits = limits
        self._added = 0  # since all rows were trimmed: counting them is a scan

    def add(self, connection: sa.Connection, samples: Sequence[Sample]) -> None:
        """Add what these samples' subjects had to do with, within the transaction that stores the samples."""
        newest: dict[tuple[str, str], Sample] = {}
        for sample in samples:
            key = sample.subject, sample.item
            if key not in newest or newest[key].time_ms < sample.time_ms:
                newest[key] = sample
        if not newest:
            return
        rows = list(newest.values())
        subjects = [sample.subject for sample in rows]
        connection.execute(
            _ADD,
            {
                "subjects": subjects,
                "items": [sample.item for sample in rows],
                "texts": [sample.text for sample in rows],
                "times_ms": [sample.time_ms for sample in rows],
            },
        )
        connection.execute(_TRIM_SUBJECTS, {"subjects": subjects, "per_subject": self._limits.per_subject})
        self._added += len(rows)
        if self._added > self._limits.max_rows // 20:
            self._added = 0
            connection.execute(_TRIM_ALL, {"max_rows": self._limits.max_rows})

    def of(self, engine: sa.Engine, subject: str) -> list[str]:
        """Return the texts of a subject's items, oldest first; none where nothing is known."""
        names = {"subject": subject, "per_subject": self._limits.per_subject}
        with transaction(engine) as connection:
            return list(connection.scalars(_READ, names))[::-1]
