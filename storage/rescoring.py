"""Score rows of the buffer again: a stratum whose scoring configuration has changed, or the rows of one version.

`importance.reservoir` defines how key and probability follow from a new score. New scores are collected in a temporary
table while workers continue; then one transaction with exclusive access to the buffer applies them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import sqlalchemy as sa

from importance.errors import Conflict
from importance.reservoir import AdmissionPolicy, Score, draw
from importance.sample import Sample
from importance.strata import NEGATIVE, POSITIVE
from storage import audit, buffer, tables
from storage.audit import Action, Author
from storage.engine import session, transaction
from storage.lock import Right, wait_for

Progress = Callable[[int], None]
"""Called with the number of rows of a stratum scored so far."""

PAGE = 1_000  # rows that are in memory at once
_decode = msgspec.json.Decoder(Sample).decode

_CREATE_STAGING = sa.text("""
    CREATE TEMPORARY TABLE rescored (
        id text COLLATE "C" PRIMARY KEY, key double precision, log_weight double precision,
        importance double precision, estimator text, model text
    )
""")
_PAGE = sa.text("""
    SELECT k.id, k.stratum, s.actions, CAST(s.sample AS text) AS sample
    FROM buffer_keys k JOIN buffer_samples s USING (id)
    WHERE (CAST(:stratum AS text) IS NULL OR k.stratum = :stratum)
      AND (CAST(:model AS text) IS NULL OR s.model = :model)
      AND k.id > :after AND NOT EXISTS (SELECT FROM rescored r WHERE r.id = k.id)
    ORDER BY k.id LIMIT :page
""")
_SCORED = sa.text("""
    INSERT INTO rescored SELECT ids, keys, log_weights, importance, :estimator, :model FROM unnest(
        CAST(:ids AS text[]), CAST(:keys AS float8[]), CAST(:log_weights AS float8[]), CAST(:importance AS float8[])
    ) AS scored (ids, keys, log_weights, importance)
""")
# m is of the thresholds and ℓ that a row was held by until now: the statement reads one snapshot. ``stratum`` names a
# stratum that is scored again as a whole.
_REPLACE = sa.text("""
    WITH changed AS (
        UPDATE buffer_keys k SET
            m = least(k.m, k.log_weight - greatest(t.threshold, (
                SELECT b.threshold FROM buffer_subjects b WHERE b.stratum = k.stratum AND b.subject = k.subject
            ))),
            log_weight = r.log_weight, key = r.key
        FROM rescored r, buffer_strata t WHERE r.id = k.id AND t.stratum = k.stratum
        RETURNING k.id
    ), updated AS (
        UPDATE buffer_samples s SET importance = r.importance, estimator = r.estimator, model = r.model
        FROM rescored r JOIN changed USING (id) WHERE s.id = r.id
    ), opened AS (
        UPDATE buffer_strata SET threshold = '-Infinity', epoch = epoch + 1, rule = :config WHERE stratum = :stratum
    ), forgotten AS (
        DELETE FROM buffer_subjects WHERE stratum = :stratum
    )
    SELECT count(*) FROM changed
""")
_DISSOLVE = sa.text("""
    WITH gone AS (
        DELETE FROM buffer_strata WHERE stratum = :stratum RETURNING threshold
    ), forgotten AS (
        DELETE FROM buffer_intake WHERE stratum = :stratum
    ), bounds AS (
        DELETE FROM buffer_subjects WHERE stratum = :stratum RETURNING subject, threshold
    ), bound AS (
        INSERT INTO buffer_subjects AS own (stratum, subject, threshold)
        SELECT to_stratum, subject, threshold
        FROM bounds CROSS JOIN (VALUES (CAST(:negative AS text)), (:positive)) AS to_strata (to_stratum)
        ON CONFLICT (stratum, subject) DO UPDATE SET threshold = greatest(own.threshold, excluded.threshold)
    ), moved AS (
        UPDATE buffer_keys k SET stratum = CASE s.label WHEN 0 THEN :negative ELSE :positive END
        FROM buffer_samples s WHERE s.id = k.id AND k.stratum = :stratum
        RETURNING k.stratum
    )
    UPDATE buffer_strata t SET
        threshold = greatest(t.threshold, (SELECT threshold FROM gone)),
        deleted = t.deleted - (SELECT count(*) FROM moved WHERE moved.stratum = t.stratum)
    WHERE t.stratum IN (:negative, :positive)
""")


class Rescoring:
    """Computes the keys of the buffer again, by ``policy`` and ``score``.

    ``scoring_configs`` describe what the new keys are made with, for every stratum that the buffer is to have. A
    process that ends on the way leaves each stratum either unchanged or done. Each change is recorded in the audit log,
    as made by ``author``.
    """

    def __init__(
        self,
        engine: sa.Engine,
        policy: AdmissionPolicy,
        scoring_configs: Mapping[str, str],
        score: Score,
        author: Author,
        on_progress: Progress | None = None,
    ) -> None:
        self._engine = engine
        self._policy = policy
        self._scoring_configs = dict(scoring_configs)
        self._score = score
        self._on_progress = on_progress
        self._author = author

    def due(self) -> list[str]:
        """Return the strata with another scoring configuration; they must be rescored before samples are offered."""
        return [name for name, config in self._stored().items() if config != self._config_of(name)]

    def bring(self) -> dict[str, int]:
        """Rescore what is `due`, and merge strata that are no longer configured into those of their rows' labels.

        Returns how many rows of each stratum were scored. Each stratum is scored once: if a process with another
        configuration changes it meanwhile it stays `due`, since two such processes would never finish.
        """
        scored = {name: self._rescore(name, only_if_due=True) for name in self.due()}
        for name in self._stored().keys() - self._scoring_configs.keys():
            self._dissolve(name)
        return scored

    def everything(self) -> dict[str, int]:
        """Score every stratum again, whatever its keys are made with, and merge as `bring` does."""
        scored = {name: self.stratum(name) for name in self._stored()}
        self.bring()
        return scored

    def stratum(self, name: str) -> int:
        """Score a whole stratum again: κ is reset, and the epoch raised. Returns the number of rows."""
        return self._rescore(name, only_if_due=False)

    def _rescore(self, name: str, *, only_if_due: bool) -> int:
        with self._collected(stratum=name) as connection, self._alone(connection):
            if only_if_due and self._configs_in(connection).get(name) == self._config_of(name):
                return 0  # another process was faster
            while rows := self._page(connection, stratum=name):  # what came meanwhile
                connection.execute(_SCORED, self._scored(rows))
            return self._replace(connection, name, name)

    def rows_of(self, model: str) -> int:
        """Rescore the rows of this version: κ stays, and rows that fall to it are evicted; return their number.

        Raises Conflict when a stratum has another scoring configuration.
        """
        with self._collected(model=model) as connection, self._alone(connection):
            if other := [
                name for name, config in self._configs_in(connection).items() if config != self._config_of(name)
            ]:
                raise Conflict(f"the keys of stratum {other[0]} are made otherwise: score the whole buffer again first")
            while rows := self._page(connection, model=model):  # what came meanwhile
                connection.execute(_SCORED, self._scored(rows))
            return self._replace(connection, None, f"scored by {model}")

    def _replace(self, connection: sa.Connection, stratum: str | None, target: str) -> int:
        """Apply the new scores, and evict rows that fall to their threshold or have no weight any more."""
        config = None if stratum is None else self._config_of(stratum)
        scored = int(connection.scalar(_REPLACE, {"stratum": stratum, "config": config}) or 0)
        buffer.trim(connection)
        audit.record(connection, self._author, Action.RESCORE, target, {"rows": scored})
        return scored

    def _dissolve(self, name: str) -> None:
        """Merge a stratum into positive and negative, for both of which its thresholds hold from now on."""
        with session(self._engine) as connection, self._alone(connection):
            connection.execute(_DISSOLVE, {"stratum": name, "positive": POSITIVE, "negative": NEGATIVE})
            buffer.trim(connection)

    def _config_of(self, stratum: str) -> str:
        """Return a stratum's configuration; if it is no longer configured, that of the strata taking its rows."""
        return self._scoring_configs.get(stratum, self._scoring_configs[NEGATIVE])

    def _stored(self) -> dict[str, str]:
        with transaction(self._engine) as connection:
            return self._configs_in(connection)

    def _configs_in(self, connection: sa.Connection) -> dict[str, str]:
        row = tables.strata
        found = connection.execute(sa.select(row.c.stratum, row.c.rule).order_by(row.c.stratum))
        return {each.stratum: each.rule for each in found}

    @contextmanager
    def _collected(self, stratum: str | None = None, model: str | None = None) -> Iterator[sa.Connection]:
        """Yield a session with new scores for all current rows. No transaction waits for the model."""
        with session(self._engine) as connection:
            try:
                with connection.begin():
                    connection.execute(_CREATE_STAGING)
                    done, after = 0, ""
                while True:
                    with connection.begin():
                        rows = self._page(connection, stratum, model, after)
                    if not rows:
                        break
                    scored = self._scored(rows)
                    with connection.begin():
                        connection.execute(_SCORED, scored)
                    done, after = done + len(rows), rows[-1].id
                    if self._on_progress is not None:
                        self._on_progress(done)
                yield connection
            finally:
                connection.invalidate()  # ends the session, and its table with it

    def _page(
        self, connection: sa.Connection, stratum: str | None = None, model: str | None = None, after: str = ""
    ) -> Sequence[Any]:
        """Return rows that are not scored yet, in the order of their ids."""
        return connection.execute(_PAGE, {"stratum": stratum, "model": model, "after": after, "page": PAGE}).all()

    def _scored(self, rows: Sequence[Any]) -> dict[str, object]:
        """Return the columns of their new scores: of what is known of a sample now, late actions included."""
        samples = [msgspec.structs.replace(_decode(row.sample), actions=row.actions) for row in rows]
        scores = self._score(samples)
        draws = draw(samples, [row.stratum for row in rows], scores, self._policy)
        return {
            "ids": [row.id for row in rows],
            "keys": draws.key.tolist(),
            "log_weights": draws.log_weight.tolist(),
            "importance": scores.importance.tolist(),
            "estimator": scores.estimator,
            "model": scores.model,
        }

    @contextmanager
    def _alone(self, connection: sa.Connection) -> Iterator[None]:
        """Run a transaction without concurrent stores, corrections or trims; it starts with a trim."""
        with connection.begin():
            wait_for(connection, Right.RESCORE)
            wait_for(connection, Right.TRIM)
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))  # a large stratum takes what it takes
            buffer.trim(connection)
            yield
