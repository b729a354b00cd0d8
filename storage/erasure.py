"""Erase a subject: delete its rows, and leave a tombstone so that what came before the erasure is never stored again.

Erasure is no eviction: no threshold moves, so the rows that stay keep their inclusion probabilities.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from importance.errors import InvalidInput
from importance.events import MAX_AHEAD_MS
from importance.pseudonyms import Pseudonyms, shown
from importance.sample import Sample
from storage import audit, tables
from storage.audit import Action, Author
from storage.engine import transaction
from storage.lock import Right, wait_for

TOLERANCE_MS: Final = 2 * MAX_AHEAD_MS
"""How far past the erasure a tombstone reaches: an event's time may be so far past the wall clock at which it came."""

FOREVER_MS: Final = 2**63 - 1
"""The end of the tombstone of a subject that is blocked."""

TABLES: Final = ("buffer_keys", "buffer_samples", "buffer_subjects", "buffer_untrimmed", "recent_items")
"""The tables that name subjects."""

# The strata count what was deleted, or a trim would take the rows for surplus.
_DELETE = sa.text("""
    WITH gone AS (
        DELETE FROM buffer_keys WHERE subject = :subject RETURNING stratum
    ), payload AS (
        DELETE FROM buffer_samples WHERE subject = :subject RETURNING CAST(sample ->> 'time_ms' AS bigint) AS time_ms
    ), bounds AS (
        DELETE FROM buffer_subjects WHERE subject = :subject RETURNING stratum
    ), untrimmed AS (
        DELETE FROM buffer_untrimmed WHERE subject = :subject RETURNING stratum
    ), recent AS (
        DELETE FROM recent_items WHERE subject = :subject RETURNING time_ms
    ), counted AS (
        UPDATE buffer_strata s SET deleted = s.deleted + items
        FROM (SELECT stratum, count(*) AS items FROM gone GROUP BY stratum) AS of_strata
        WHERE s.stratum = of_strata.stratum
    )
    SELECT (SELECT count(*) FROM gone) AS buffer_keys, (SELECT count(*) FROM payload) AS buffer_samples,
           (SELECT count(*) FROM bounds) AS buffer_subjects, (SELECT count(*) FROM untrimmed) AS buffer_untrimmed,
           (SELECT count(*) FROM recent) AS recent_items,
           greatest((SELECT max(time_ms) FROM payload), (SELECT max(time_ms) FROM recent)) AS latest_ms
""")
_COUNT = sa.text(
    "SELECT " + ", ".join(f"(SELECT count(*) FROM {table} WHERE subject = :subject) AS {table}" for table in TABLES)  # noqa: S608  # names of ours
)
# The clock is read behind the locks: what was stored while they were waited for came before the erasure.
_BURY = sa.text("""
    INSERT INTO erased_subjects AS e (subject, salt, erased, until_ms)
    SELECT :pseudonym, :salt, now, greatest(:until_ms, CAST(extract(epoch FROM now) * 1000 AS bigint) + :tolerance_ms)
    FROM clock_timestamp() AS now
    ON CONFLICT (subject) DO UPDATE SET
        erased = excluded.erased, until_ms = greatest(e.until_ms, excluded.until_ms)
    RETURNING erased, until_ms
""")


@dataclass(frozen=True, slots=True)
class Tombstone:
    """That a subject was erased: samples of an event time up to ``until_ms`` are dropped, as long as it is here."""

    pseudonym: str
    erased: datetime
    until_ms: int

    @property
    def is_blocked(self) -> bool:
        """Return whether nothing of the subject is ever stored again."""
        return self.until_ms == FOREVER_MS

    def drops(self, time_ms: int) -> bool:
        """Return whether a sample of the subject with this event time is dropped."""
        return time_ms <= self.until_ms


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure removed, by table, and the tombstone it left; without one it was not carried out."""

    pseudonym: str
    rows: Mapping[str, int]
    tombstone: Tombstone | None


class Erasure:
    """Erases subjects, and answers which are erased."""

    def __init__(self, engine: sa.Engine, pseudonyms: Pseudonyms) -> None:
        self._engine = engine
        self._pseudonyms = pseudonyms

    def erase(self, subject: str, author: Author, *, block: bool = False) -> Erased:
        """Delete all rows of a subject, leave its tombstone, and record it in the audit log, under its pseudonym.

        Excludes flushes, rescoring and trims meanwhile. Repeating it is harmless. With ``block`` later events of the
        subject are dropped, too, for ever.
        """
        pseudonym = self._pseudonyms.of_subject(subject)
        with transaction(self._engine) as connection:
            wait_for(connection, Right.RESCORE)
            wait_for(connection, Right.TRIM)
            check_salt(connection, self._pseudonyms)
            found = connection.execute(_DELETE, {"subject": subject}).one()
            names = {
                "pseudonym": pseudonym,
                "salt": self._pseudonyms.fingerprint,
                "until_ms": FOREVER_MS if block else found.latest_ms or 0,
                "tolerance_ms": TOLERANCE_MS,
            }
            left = connection.execute(_BURY, names).one()
            rows = {table: int(getattr(found, table)) for table in TABLES}
            audit.record(connection, author, Action.ERASE, shown(pseudonym), {"rows": rows, "blocked": block})
        return Erased(shown(pseudonym), rows, Tombstone(shown(pseudonym), left.erased, left.until_ms))

    def preview(self, subject: str) -> Erased:
        """Return what `erase` would remove, with the tombstone of an earlier erasure if there is one."""
        with transaction(self._engine) as connection:
            check_salt(connection, self._pseudonyms)
            found = connection.execute(_COUNT, {"subject": subject}).one()
        rows = {table: int(getattr(found, table)) for table in TABLES}
        pseudonym = self._pseudonyms.of_subject(subject)
        return Erased(shown(pseudonym), rows, self.tombstones((pseudonym,)).get(pseudonym))

    def tombstones(self, pseudonyms: Sequence[int]) -> dict[int, Tombstone]:
        """Return the tombstones among these subjects."""
        with transaction(self._engine) as connection:
            return _tombstones(connection, pseudonyms)

    def of(self, subjects: Collection[str]) -> dict[str, Tombstone]:
        """Return the tombstones of those of some subjects that were erased.

        An answer that has become too old does no harm: the buffer looks again when it stores.
        """
        with transaction(self._engine) as connection:
            return _of(connection, subjects, self._pseudonyms)

    def count(self, samples: Sequence[Sample]) -> int:
        """Count those of some samples that are of before their subject's erasure."""
        with transaction(self._engine) as connection:
            return len(samples) - len(welcome(connection, samples, self._pseudonyms))


def welcome(connection: sa.Connection, samples: Sequence[Sample], pseudonyms: Pseudonyms) -> list[Sample]:
    """Return the samples that are not of before their subject's erasure, in a transaction that excludes erasures."""
    left = _of(connection, {sample.subject for sample in samples}, pseudonyms)
    return [x for x in samples if x.subject not in left or not left[x.subject].drops(x.time_ms)]


def _of(connection: sa.Connection, subjects: Collection[str], pseudonyms: Pseudonyms) -> dict[str, Tombstone]:
    """One query where no subject was ever erased."""
    if not connection.scalar(sa.select(sa.exists().select_from(tables.erased_subjects))):
        return {}
    numbers = dict(zip(pseudonyms.of_subjects(subjects).tolist(), subjects, strict=True))
    return {numbers[number]: each for number, each in _tombstones(connection, list(numbers)).items()}


def _tombstones(connection: sa.Connection, pseudonyms: Sequence[int]) -> dict[int, Tombstone]:
    row = tables.erased_subjects
    wanted = sa.select(row).where(row.c.subject == sa.any_(sa.cast(list(pseudonyms), sa.ARRAY(sa.BigInteger))))
    return {
        found.subject: Tombstone(shown(found.subject), found.erased, found.until_ms)
        for found in connection.execute(wanted)
    }


def check_salt(connection: sa.Connection, pseudonyms: Pseudonyms) -> None:
    """Raise InvalidInput when tombstones have another salt: with this one no erased subject would be recognised."""
    row = tables.erased_subjects
    other = sa.select(sa.func.count()).where(row.c.salt != pseudonyms.fingerprint)
    if count := connection.scalar(other):
        raise InvalidInput(
            f"{count} subjects were erased under another WEIR_SALT, and would not be recognised: set the one of then"
        )
