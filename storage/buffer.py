"""The bounded buffer in Postgres: store what a worker decided in one transaction; evict the smallest keys.

`importance.reservoir` decides which samples stay; reading is in `storage.buffer_reader`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from threading import Lock
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from importance.errors import Unavailable
from importance.flush import Flush
from importance.pseudonyms import Pseudonyms
from importance.quality import CountKey, Counts
from importance.sample import Correction, Outcome, Rating, label_table, later
from importance.scores import Offer
from importance.thresholds import AdmissionThresholds, Threshold
from storage import comparisons, drift, progress, quality, race, staging, tables
from storage.engine import session, transaction
from storage.erasure import check_salt, welcome
from storage.held import Held
from storage.lock import Right, share, try_for, wait_for
from storage.recent_items import RecentItems

_DEFAULT_PSEUDONYMS = Pseudonyms("weir")  # by the default of WEIR_SALT

# Sorted by id, so that two workers with the same ids wait for each other instead of locking each other out. An id that
# is there stays as it is: the first to be stored wins. Thresholds may have risen since they were read. Where the
# whole stratum was scored again since, a row keeps the chance that the old threshold left it, as m. What is of before
# the erasure of its subject is not stored: an erasure excludes this transaction, so its tombstone is seen.
_INSERT = sa.text("""
    WITH stored AS (
        INSERT INTO buffer_keys (id, stratum, subject, key, log_weight, m)
        SELECT id, stratum, subject, key, log_weight, CASE WHEN threshold_epoch < epoch THEN threshold_limit ELSE 0 END
        FROM staged JOIN buffer_strata s USING (stratum) LEFT JOIN buffer_subjects b USING (stratum, subject)
        WHERE key > greatest(s.threshold, b.threshold)
          AND NOT EXISTS (SELECT FROM erased_subjects e WHERE e.subject = pseudonym AND time_ms <= e.until_ms)
        ORDER BY id
        ON CONFLICT (id) DO NOTHING
        RETURNING id, stratum, subject
    ), touched AS (
        INSERT INTO buffer_untrimmed (stratum, subject) SELECT DISTINCT stratum, subject FROM stored
    ), payload AS (
        INSERT INTO buffer_samples (id, actions, label, rating_time_ms, rating_id, rating_value,
                                    importance, estimator, model, prediction, sample, subject)
        SELECT id, actions, label, rating_time_ms, rating_id, rating_value,
               importance, estimator, model, prediction, sample, staged.subject
        FROM staged JOIN stored USING (id)
    ), counted AS (
        INSERT INTO buffer_intake AS i (topic_id, partition, stratum, inserted)
        SELECT CAST(:topic AS uuid), :partition, stratum, count(*) FROM stored GROUP BY stratum
        ON CONFLICT (topic_id, partition, stratum) DO UPDATE SET inserted = i.inserted + excluded.inserted
    )
    SELECT EXISTS (
        SELECT FROM staged LEFT JOIN buffer_strata s USING (stratum)
        WHERE staged.threshold_epoch IS DISTINCT FROM s.epoch
    )
""")

# Rows are locked in the order of their ids, as everywhere; only those that change are written.
_CORRECT = sa.text("""
    WITH late AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:actions AS smallint[]),
            CAST(:rating_times_ms AS bigint[]), CAST(:rating_ids AS text[]), CAST(:rating_values AS float8[])
        ) AS late (id, actions, rating_time_ms, rating_id, rating_value)
    ), locked AS MATERIALIZED (
        SELECT id FROM buffer_samples WHERE id IN (SELECT id FROM late) ORDER BY id FOR NO KEY UPDATE
    )
    UPDATE buffer_samples AS s SET
        actions = s.actions | late.actions,
        label = (CAST(:labels AS smallint[]))[(s.actions | late.actions) + 1],
        (rating_time_ms, rating_id, rating_value) = (
            SELECT * FROM (VALUES (s.rating_time_ms, s.rating_id, s.rating_value),
                                  (late.rating_time_ms, late.rating_id, late.rating_value)) AS r (t, i, v)
            ORDER BY t DESC NULLS LAST, i COLLATE "C" DESC, v DESC LIMIT 1
        )
    FROM locked JOIN late USING (id)
    WHERE s.id = locked.id AND (
        s.actions | late.actions <> s.actions
        OR late.rating_time_ms >= coalesce(s.rating_time_ms, late.rating_time_ms)
        AND (late.rating_time_ms, late.rating_id, late.rating_value)
            IS DISTINCT FROM (s.rating_time_ms, s.rating_id, s.rating_value)
    )
""")

# Before a trim: the planner has no estimate of how many keys are below κ, assumes a third of all rows, and scans the
# tables (264 ms at 300,000 rows; 10 ms by index, whatever the number of rows).
_BY_INDEX = sa.text("""
    SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
           set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)
""")

# The steps that both trims share: delete the rows up to the threshold of their ``bound``, and count them.
_DELETE_UP_TO_BOUND = """
    deleted AS (
        DELETE FROM buffer_keys k USING bound WHERE {matches} AND k.key <= bound.threshold
        RETURNING k.id, k.stratum
    ), locked AS MATERIALIZED (
        SELECT id FROM buffer_samples WHERE id IN (SELECT id FROM deleted) ORDER BY id FOR UPDATE
    ), dropped AS (
        DELETE FROM buffer_samples s USING locked WHERE s.id = locked.id
    ), counted AS (
        SELECT stratum, count(*) AS items FROM deleted GROUP BY stratum
    )
"""
_COUNT_DELETED = "SELECT CAST(coalesce(sum(items), 0) AS bigint) FROM counted"

# Subjects that may hold more than their bound: those of all flushes since the last trim, or every one. The new
# threshold is the largest key that is one too many. Where a subject may fill the whole stratum there is no bound.
_TOUCHED = """
    taken AS (DELETE FROM buffer_untrimmed RETURNING stratum, subject),
    touched AS MATERIALIZED (SELECT DISTINCT stratum, subject FROM taken)
"""
_EVERY = """
    taken AS (DELETE FROM buffer_untrimmed),
    touched AS MATERIALIZED (
        SELECT stratum, subject FROM buffer_keys JOIN buffer_strata USING (stratum)
        GROUP BY stratum, subject, subject_capacity HAVING count(*) > subject_capacity
        UNION SELECT stratum, subject FROM buffer_subjects
    )
"""

# How many rows the trim of the strata that follows may count, in the same snapshot as the subjects: a flush that is
# stored in between has surplus rows of its own subjects, which must not cost another subject its place.
_INSERTED = """
    SELECT (SELECT CAST(coalesce(sum(items), 0) AS bigint) FROM counted) AS deleted,
           (SELECT json_object_agg(stratum, inserted) FROM (
               SELECT stratum, CAST(sum(inserted) AS bigint) AS inserted FROM buffer_intake GROUP BY stratum
           ) AS intake) AS inserted
"""

_TRIM_SUBJECTS_TEMPLATE = """
    WITH {touched}, bound AS MATERIALIZED (
        SELECT stratum, subject, greatest(b.threshold, (
            SELECT key FROM buffer_keys k
            WHERE k.subject = t.subject AND k.stratum = t.stratum AND s.subject_capacity < s.capacity
            ORDER BY key DESC OFFSET s.subject_capacity LIMIT 1
        )) AS threshold
        FROM touched t JOIN buffer_strata s USING (stratum) LEFT JOIN buffer_subjects b USING (stratum, subject)
    ), raised AS (
        INSERT INTO buffer_subjects AS b (stratum, subject, threshold)
        SELECT stratum, subject, threshold FROM bound WHERE threshold IS NOT NULL
        ON CONFLICT (stratum, subject) DO UPDATE SET threshold = excluded.threshold
        WHERE b.threshold < excluded.threshold
    ), {delete}, updated AS (
        UPDATE buffer_strata s SET deleted = s.deleted + counted.items FROM counted WHERE s.stratum = counted.stratum
    )
    {count}
"""
_DELETE_OF_SUBJECT = _DELETE_UP_TO_BOUND.format(matches="k.subject = bound.subject AND k.stratum = bound.stratum")
_TRIM_TOUCHED_SUBJECTS = sa.text(
    _TRIM_SUBJECTS_TEMPLATE.format(touched=_TOUCHED, delete=_DELETE_OF_SUBJECT, count=_INSERTED)
)
_TRIM_EVERY_SUBJECT = sa.text(
    _TRIM_SUBJECTS_TEMPLATE.format(touched=_EVERY, delete=_DELETE_OF_SUBJECT, count=_INSERTED)
)

# The new κ is the surplus-th smallest key. Rows that came since the surplus was counted can only make it too small:
# what is above it then is evicted by the next trim.
_TRIM_STRATA_TEMPLATE = """
    WITH bound AS MATERIALIZED (
        SELECT s.stratum, greatest(s.threshold, (
            SELECT key FROM buffer_keys k WHERE k.stratum = s.stratum ORDER BY key
            OFFSET greatest(n.surplus - 1, 0) LIMIT least(n.surplus, 1)
        )) AS threshold
        FROM buffer_strata s CROSS JOIN LATERAL (
            SELECT greatest(0, coalesce(CAST(CAST(:inserted AS json) ->> s.stratum AS bigint), 0)
                               - s.deleted - s.capacity) AS surplus
        ) n
    ), {delete}, raised AS (
        UPDATE buffer_strata s SET threshold = bound.threshold, deleted = s.deleted + counted.items
        FROM bound JOIN counted USING (stratum) WHERE s.stratum = bound.stratum
    )
    {count}
"""
_TRIM_STRATA = sa.text(
    _TRIM_STRATA_TEMPLATE.format(
        delete=_DELETE_UP_TO_BOUND.format(matches="k.stratum = bound.stratum"), count=_COUNT_DELETED
    )
)
_FORGET = sa.text("""
    DELETE FROM buffer_subjects b USING buffer_strata s WHERE s.stratum = b.stratum AND b.threshold <= s.threshold
""")
_THRESHOLDS = sa.text("""
    SELECT s.stratum, s.threshold, s.epoch, s.rule, b.subject, b.threshold AS subject_threshold
    FROM buffer_strata s LEFT JOIN buffer_subjects b ON b.stratum = s.stratum AND b.threshold > s.threshold
""")


class Buffer:
    """The pool of samples, written by any number of workers.

    ``capacities`` are the sizes of the strata in rows; the first use writes them, and they hold for all. Growing keeps
    a stratum's κ, shrinking raises it at the next trim. ``scoring_configs`` describe what the keys of each stratum are
    made with; where the buffer's differ nothing is stored, and every call raises Unavailable until `Rescoring` has run.
    ``subject_capacities`` are the rows of each stratum that a subject may hold: all, or changed as capacities are.
    ``topic_id`` is that of the topic whose partitions are flushed; ``pseudonyms`` stand for erased subjects. Safe to be
    used by several threads, a partition being flushed by one at a time. With ``recent_items`` the items of positive
    samples are kept by subject, too.
    """

    def __init__(
        self,
        engine: sa.Engine,
        capacities: Mapping[str, int],
        topic_id: UUID,
        positive_from: Outcome = Outcome.CLICK,
        scoring_configs: Mapping[str, str] | None = None,
        subject_capacities: Mapping[str, int] | None = None,
        recent_items: RecentItems | None = None,
        pseudonyms: Pseudonyms = _DEFAULT_PSEUDONYMS,
    ) -> None:
        self._engine = engine
        self._recent_items = recent_items
        self._pseudonyms = pseudonyms
        self._capacities = dict(capacities)
        self._subject_capacities = dict(capacities if subject_capacities is None else subject_capacities)
        self._scoring_configs = {name: (scoring_configs or {}).get(name, "") for name in capacities}
        self._topic_id = topic_id
        self._labels = list(label_table(positive_from))
        self._thresholds: AdmissionThresholds | None = None
        self._refreshed: datetime | None = None  # since which erasure
        self._preparing = Lock()
        self._untrimmed: set[int] = set()
        self._counts: dict[int, Held[CountKey, Counts]] = {}
        self._sketches: dict[int, Held[drift.Row, drift.Sums]] = {}

    def thresholds(self) -> AdmissionThresholds:
        """Return the thresholds as last seen: at the start, and after each flush and trim."""
        with self._preparing:
            if self._thresholds is None:
                self._thresholds = self._prepare()
            return self._thresholds

    def refresh(self, erased: datetime) -> None:
        """Read the thresholds again, unless that was done since an erasure: it lifts the one that its subject had.

        Erasures exclude one another, so what was read behind the last one has seen all before it.
        """
        self.thresholds()
        if self._refreshed is not None and erased <= self._refreshed:
            return
        with transaction(self._engine) as connection:
            self._thresholds = self._read_thresholds(connection)
        self._refreshed = erased

    def persist(self, flush: Flush) -> None:
        """Store a flush, all of it or nothing, and trim unless another worker is trimming.

        Raises Fenced when the partition is another worker's; Unavailable when it may or may not have been stored:
        try again with the same flush, which is then stored once. The number of queries does not depend on how many
        samples were offered, and a sample that was not kept costs nothing.
        """
        self.thresholds()
        first = {offer.sample.id: offer for offer in reversed(flush.offers) if offer.kept}
        with session(self._engine) as connection:
            if flush.partition in self._untrimmed:  # maybe not trimmed: one batch may wait
                self._trim(connection, wait=True)
                self._untrimmed.discard(flush.partition)
            with connection.begin():
                self._store(connection, flush, list(first.values()))
            if first:
                staging.keep(connection)
                if self._trim(connection, wait=False) is None:
                    self._untrimmed.add(flush.partition)

    def trim(self) -> bool:
        """Evict all but the largest keys of each stratum and subject; True if any row was. Waits for a trim elsewhere.

        With no writer at work the buffer is then a function of all that was offered: see `Reservoir`.
        """
        self.thresholds()
        with session(self._engine) as connection:
            return bool(self._trim(connection, wait=True, every=True))

    def _store(self, connection: sa.Connection, flush: Flush, offers: Sequence[Offer]) -> None:
        if offers:
            staging.stage(connection, offers, self._pseudonyms)
        positive = [offer.sample for offer in flush.offers if offer.label] if self._recent_items is not None else []
        if offers or flush.corrections or positive:
            share(connection, Right.RESCORE)
        if not progress.advance(connection, self._topic_id, flush):
            return
        if offers and connection.scalar(_INSERT, {"topic": self._topic_id, "partition": flush.partition}):
            self._read_thresholds(
                connection
            )  # another epoch: maybe another configuration, and then all of this is rolled back
        self._correct(connection, flush.corrections)
        if self._recent_items is not None and positive:
            self._recent_items.add(connection, welcome(connection, positive, self._pseudonyms))
        # Should the COMMIT fail, the counts held are those of a `next` that never was, and are not used.
        self._counts[flush.partition] = quality.add(
            connection, self._topic_id, flush, self._counts.get(flush.partition)
        )
        self._sketches[flush.partition] = drift.add(
            connection, self._topic_id, flush, self._sketches.get(flush.partition)
        )
        comparisons.add(connection, self._topic_id, flush)
        race.add(connection, self._topic_id, flush)
        if not offers:  # else a trim follows, and reads them
            self._thresholds = self._read_thresholds(connection)

    def _prepare(self) -> AdmissionThresholds:
        row = tables.strata
        capacities = sorted(self._capacities.items())
        bounds = self._subject_capacities
        write = insert(row).values(
            [
                {"stratum": name, "capacity": n, "rule": self._scoring_configs[name], "subject_capacity": bounds[name]}
                for name, n in capacities
            ]
        )
        write = write.on_conflict_do_update(
            index_elements=[row.c.stratum],
            set_={"capacity": write.excluded.capacity, "subject_capacity": write.excluded.subject_capacity},
        )
        with transaction(self._engine) as connection:
            wait_for(connection, Right.TRIM)
            check_salt(connection, self._pseudonyms)
            connection.execute(write)
            # A worker that ended between a flush and its trim has left surplus rows; a smaller bound evicts more.
            connection.execute(_TRIM_EVERY_SUBJECT)
            return self._read_thresholds(connection)

    def _read_thresholds(self, connection: sa.Connection) -> AdmissionThresholds:
        """Return the thresholds of all strata and subjects; Unavailable when keys are not made as ours are."""
        found = connection.execute(_THRESHOLDS).all()
        strata = {row.stratum: row for row in found}
        for name in sorted(strata.keys() | self._scoring_configs.keys()):
            theirs, ours = strata[name].rule if name in strata else None, self._scoring_configs.get(name)
            if theirs != ours:
                raise Unavailable(
                    f"the buffer's keys of stratum {name} are made by {theirs or 'no known rule'!r}, those of this "
                    f"process by {ours or 'none'!r}: run 'weir buffer rescore', or restart with the buffer's settings"
                )
        return AdmissionThresholds(
            {name: Threshold(row.threshold, row.epoch) for name, row in strata.items()},
            {(row.stratum, row.subject): row.subject_threshold for row in found if row.subject is not None},
        )

    def _correct(self, connection: sa.Connection, corrections: Sequence[Correction]) -> None:
        late: dict[str, tuple[int, Rating | None]] = {}
        for correction in corrections:
            actions, rating = late.get(correction.sample_id, (0, None))
            late[correction.sample_id] = (actions | correction.actions, later(rating, correction.rating))
        if not late:
            return
        ratings = [rating for _, rating in late.values()]
        columns = {
            "ids": list(late),
            "actions": [actions for actions, _ in late.values()],
            "rating_times_ms": [rating and rating.time_ms for rating in ratings],
            "rating_ids": [rating and rating.id for rating in ratings],
            "rating_values": [rating and rating.value for rating in ratings],
        }
        connection.execute(_CORRECT, columns | {"labels": self._labels})

    def _trim(self, connection: sa.Connection, *, wait: bool, every: bool = False) -> int | None:
        """Trim and return the number of rows deleted; None if another worker is trimming and ``wait`` is False."""
        with connection.begin():
            if wait:
                wait_for(connection, Right.TRIM)
            elif not try_for(connection, Right.TRIM):
                return None
            deleted = trim(connection, every)
            thresholds = self._read_thresholds(connection)
        self._thresholds = thresholds
        return deleted


def trim(connection: sa.Connection, every: bool = True) -> int:
    """Trim every stratum, in a transaction that has the right to; return how many rows were deleted.

    Before that the subjects of what was stored since the last trim go down to their bound, or ``every`` one.
    """
    connection.execute(_BY_INDEX)
    subjects = connection.execute(_TRIM_EVERY_SUBJECT if every else _TRIM_TOUCHED_SUBJECTS).one()
    inserted = msgspec.json.encode(subjects.inserted or {}).decode()
    deleted = int(subjects.deleted) + int(connection.scalar(_TRIM_STRATA, {"inserted": inserted}) or 0)
    connection.execute(_FORGET)
    return deleted
