"""The counts of predictions: one array a row, each written by its partition's owner alone, summed when read.

Shared rows would be fought over by all workers, and deadlock. What the counts mean is `importance.quality`'s.
"""

import zlib
from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

import numpy as np
import sqlalchemy as sa

from importance.flush import Flush
from importance.quality import BINS, CountKey, Counts, empty_counts
from storage import tables
from storage.engine import transaction
from storage.held import Held, rows_before

BLOCKS_KEPT = 10  # by partition: the last ten thousand offsets
_STORED = np.dtype("<u4")  # half the bytes of what is counted in; four thousand million predictions fit a bin
_BLOCK = "block:"
_WEEKS = "week:%"

_READ = sa.text("""
    SELECT span, predictor, version, slice, counts FROM quality_counts
    JOIN unnest(CAST(:spans AS text[]), CAST(:predictors AS text[]), CAST(:versions AS text[]),
                CAST(:slices AS text[])) AS wanted (span, predictor, version, slice)
    USING (span, predictor, version, slice)
    WHERE topic_id = :topic AND partition = :partition
""")
_WRITE = sa.text("""
    INSERT INTO quality_counts (topic_id, partition, span, predictor, version, slice, counts)
    SELECT :topic, :partition, * FROM unnest(
        CAST(:spans AS text[]), CAST(:predictors AS text[]), CAST(:versions AS text[]), CAST(:slices AS text[]),
        CAST(:counts AS bytea[])
    )
    ON CONFLICT (topic_id, partition, span, predictor, version, slice) DO UPDATE SET counts = excluded.counts
""")
_FORGET = sa.text("""
    DELETE FROM quality_counts
    WHERE topic_id = :topic AND partition = :partition
      AND CASE WHEN span LIKE 'block:%' THEN CAST(substr(span, 7) AS bigint) <= :block ELSE false END
""")
_WEEK_STATES = sa.text("""
    SELECT span, md5(string_agg(CAST(xmin AS text) || CAST(ctid AS text), ',' ORDER BY ctid)) AS state
    FROM quality_counts WHERE span LIKE :weeks GROUP BY span
""")


def add(
    connection: sa.Connection, topic_id: UUID, flush: Flush, before: Held[CountKey, Counts] | None
) -> Held[CountKey, Counts]:
    """Add a flush's counts to the rows of its partition, in the transaction that holds the progress row.

    ``before`` is what this worker wrote last; what it does not cover (all of it after an assignment) is read.
    """
    known = rows_before(flush, before)
    if not flush.quality:
        return Held.after(flush, known)
    missing = [key for key in flush.quality if key not in known]
    stored = _read(connection, topic_id, flush.partition, missing) if missing else {}
    total = {
        key: counts + (known[key] if key in known else stored.get(key, empty_counts()))
        for key, counts in flush.quality.items()
    }
    names: dict[str, object] = {"topic": topic_id, "partition": flush.partition}
    arrays = [_stored(counts) for counts in total.values()]
    connection.execute(_WRITE, names | _columns(list(total)) | {"counts": arrays})
    blocks = [int(key.span.removeprefix(_BLOCK)) for key in missing if key.span.startswith(_BLOCK)]
    if blocks:  # a new block: an older one has expired
        connection.execute(_FORGET, names | {"block": max(blocks) - BLOCKS_KEPT})
    return Held.after(flush, total)


class Series(NamedTuple):
    """What a sum of counts over all partitions is of; the words are those of `importance.quality.CountKey`."""

    span: str
    predictor: str
    version: str
    slice: str


class Quality:
    """The counts, summed over partitions."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def weeks(self, spans: Collection[str] | None = None) -> dict[Series, Counts]:
        """Return counts by week of event time, predictor, version and slice; with ``spans`` of these weeks only."""
        row = tables.quality
        return self._sum(row.c.span.like(_WEEKS) if spans is None else row.c.span.in_(spans))

    def week_states(self) -> dict[str, str]:
        """Return week → a digest of the physical versions of its rows: it differs once any of them was written again.

        The counts themselves, by far the most of what is stored, are neither read nor sent.
        """
        with transaction(self._engine) as connection:
            return {found.span: found.state for found in connection.execute(_WEEK_STATES, {"weeks": _WEEKS})}

    def recent(self) -> dict[Series, Counts]:
        """Return counts over the last ten thousand decided offsets of each partition; the span is ``recent``."""
        return self._sum(tables.quality.c.span.like(f"{_BLOCK}%"), "recent")

    def _sum(self, chosen: sa.ColumnElement[bool], span: str | None = None) -> dict[Series, Counts]:
        row = tables.quality
        names = (row.c.span, row.c.predictor, row.c.version, row.c.slice)
        wanted = sa.select(*names, row.c.counts).where(chosen).order_by(*names)
        total: dict[Series, Counts] = {}
        with transaction(self._engine) as connection:
            for found in connection.execute(wanted):
                series = Series(span or found.span, found.predictor, found.version, found.slice)
                total[series] = total.get(series, 0) + counts_of(found.counts)
        return total


def _read(connection: sa.Connection, topic_id: UUID, partition: int, keys: list[CountKey]) -> dict[CountKey, Counts]:
    names = _columns(keys) | {"topic": topic_id, "partition": partition}
    return {
        CountKey(partition, found.span, found.predictor, found.version, found.slice): counts_of(found.counts)
        for found in connection.execute(_READ, names)
    }


def _columns(keys: list[CountKey]) -> dict[str, list[str]]:
    return {
        "spans": [key.span for key in keys],
        "predictors": [key.predictor for key in keys],
        "versions": [key.version for key in keys],
        "slices": [key.slice for key in keys],
    }


def _stored(counts: Counts) -> bytes:
    """Compress: nearly all is zeros, and 20 µs here spare the server 8 kB of log a row."""
    return zlib.compress(counts.astype(_STORED).tobytes(), level=1)


def counts_of(stored: bytes) -> Counts:
    """Return an array of counts as it is stored."""
    return np.frombuffer(zlib.decompress(stored), _STORED).astype(np.int64).reshape(2, BINS)
