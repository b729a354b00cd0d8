"""What detectors of drift see of the stream, where they are, and the alarms that they gave.

The sums of a block are written by the owner of their partition alone, in the transaction that stores its samples. An
evaluation reads each block once, in order, when nothing can be added to it any more, and then deletes it: what is
kept of the past is in the states of the detectors. Rows that a release with other features wrote are neither added to
nor read: they are written over, or counted and deleted.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from importance.drift.block import Block
from importance.drift.evaluation import Alarm, DriftState, Evaluation, MergedBlocks
from importance.drift.registry import LAYOUT
from importance.flush import Flush
from importance.partition_progress import BEGINNING_OF_TIME_MS
from storage import audit, tables
from storage.audit import Action, Author
from storage.engine import transaction
from storage.held import Held, rows_before

BLOCKS_AT_ONCE = 12
"""Blocks that one evaluation takes at most: it computes for seconds, in a transaction that must not idle for 60."""

IDLE_SECONDS = 600
"""A partition whose progress has not moved for so long has no samples: a dead owner is replaced within a minute."""

_STORED = np.dtype("<f8")

_READ = sa.text("""
    SELECT block_ms, version, sums FROM drift_blocks
    JOIN unnest(CAST(:blocks_ms AS bigint[]), CAST(:versions AS text[])) AS wanted (block_ms, version)
    USING (block_ms, version)
    WHERE topic_id = :topic AND partition = :partition AND layout = :layout
""")
_WRITE = sa.text("""
    INSERT INTO drift_blocks (topic_id, partition, layout, block_ms, version, sums)
    SELECT :topic, :partition, :layout, * FROM unnest(
        CAST(:blocks_ms AS bigint[]), CAST(:versions AS text[]), CAST(:sums AS bytea[])
    )
    ON CONFLICT (topic_id, partition, block_ms, version) DO UPDATE SET sums = excluded.sums, layout = excluded.layout
""")

Row = tuple[int, str]
"""Start of a block in event time, and version."""

Sums = dict[tuple[str, str], Block]
"""By feature and segment."""


def add(connection: sa.Connection, topic_id: UUID, flush: Flush, before: Held[Row, Sums] | None) -> Held[Row, Sums]:
    """Add a flush's sums to the rows of its partition, in the transaction that holds the progress row.

    ``before`` is what this worker wrote last; what it does not cover (all of it after an assignment) is read.
    """
    known = rows_before(flush, before)
    if not flush.sketches:
        return Held.after(flush, known)
    total: dict[Row, Sums] = {}
    for key, block in flush.sketches.items():
        total.setdefault((key.block_ms, key.version), {})[key.feature, key.segment] = block
    missing = [row for row in total if row not in known]
    stored = _read(connection, topic_id, flush.partition, missing) if missing else {}
    for row, sums in total.items():
        for of, block in known.get(row, stored.get(row, {})).items():
            sums[of] = sums[of] + block if of in sums else block
    names = {"topic": topic_id, "partition": flush.partition, "layout": LAYOUT}
    connection.execute(_WRITE, names | _columns(list(total)) | {"sums": [_packed(sums) for sums in total.values()]})
    return Held.after(flush, total)


@dataclass(frozen=True, slots=True)
class Recorded:
    """An alarm as it was recorded; ``time`` is the database's."""

    id: int
    time: datetime
    alarm: Alarm


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The alarms of an evaluation; ``skipped_rows`` of its blocks were summed by a release with other features."""

    alarms: Sequence[Alarm]
    skipped_rows: int


Evaluate = Callable[[Sequence[DriftState], MergedBlocks], Evaluation]


class Drift:
    """The blocks of all partitions, the states of the tests and their alarms.

    ``block_ms`` is the length of a block, ``horizon_ms`` how far behind the event time of its partition an impression
    may lie: a block is complete when every partition has passed its end by so much. A partition whose progress has not
    moved for `IDLE_SECONDS` is not waited for.
    """

    def __init__(self, engine: sa.Engine, block_ms: int, horizon_ms: int) -> None:
        self._engine = engine
        self._block_ms = block_ms
        self._horizon_ms = horizon_ms

    def evaluate(self, evaluate: Evaluate) -> Evaluated | None:
        """Give the next complete blocks to ``evaluate``, store what it returns, and delete them: all of it or nothing.

        Of several processes one evaluates at a time, each block once. Returns None when no block was complete. At most
        `BLOCKS_AT_ONCE` are given, because a transaction is open meanwhile: call it until None.
        """
        cursor, row = tables.drift_cursor, tables.drift_blocks
        with transaction(self._engine) as connection:
            complete_ms = self._complete(connection)
            if complete_ms is None:
                return None
            evaluated_ms = connection.scalar(sa.select(cursor.c.evaluated_ms).with_for_update())
            if evaluated_ms is not None and complete_ms <= evaluated_ms:
                return None
            # What is older than what was evaluated was sent too late for its turn.
            next_blocks = (
                sa.select(row.c.block_ms).distinct().where(row.c.block_ms < complete_ms).order_by(row.c.block_ms)
            )
            if evaluated_ms is not None:
                next_blocks = next_blocks.where(row.c.block_ms >= evaluated_ms)
            found = connection.scalars(next_blocks.limit(BLOCKS_AT_ONCE)).all()
            if len(found) == BLOCKS_AT_ONCE:
                complete_ms = found[-1] + self._block_ms
            before = _states(connection)
            blocks, skipped_rows = self._blocks(connection, found)
            evaluation = evaluate(before, blocks)
            _store(connection, evaluation, before)
            connection.execute(sa.update(cursor).values(evaluated_ms=complete_ms))
            connection.execute(sa.delete(row).where(row.c.block_ms < complete_ms))
        return Evaluated(evaluation.alarms, skipped_rows) if found else None

    def states(self) -> list[DriftState]:
        """Every test that has seen a block, in order of feature and segment; without the states of the detectors."""
        with transaction(self._engine) as connection:
            return _states(connection, encoded=False)

    def evaluated_ms(self) -> int | None:
        """The event time up to which blocks are evaluated; None before the first."""
        with transaction(self._engine) as connection:
            value = connection.scalar(sa.select(tables.drift_cursor.c.evaluated_ms))
        return None if value is None else int(value)

    def alarms(self, limit: int = 100) -> list[Recorded]:
        """The latest alarms, newest first."""
        row = tables.drift_alarms
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(row).order_by(row.c.id.desc()).limit(limit)).all()
        return [_alarm(each) for each in found]

    def last_alarm(self) -> datetime | None:
        """When the latest alarm was recorded, by the database's clock; None before the first."""
        with transaction(self._engine) as connection:
            latest: datetime | None = connection.scalar(sa.select(sa.func.max(tables.drift_alarms.c.time)))
        return latest

    def restart(self, author: Author, feature: str | None = None) -> int:
        """Forget the references of a feature, or of all, so that what comes next is theirs; return how many tests.

        The numbers of alarms stay. A restart of all also forgets up to where the stream was evaluated, which may lie in
        the future of a topic that was made again. Recorded in the audit log.
        """
        row = tables.drift_states
        chosen = sa.true() if feature is None else row.c.feature == feature
        nothing = {"state": b"", "statistic": None, "threshold": None, "p_value": None, "checked_ms": None}
        with transaction(self._engine) as connection:
            connection.execute(sa.select(tables.drift_cursor).with_for_update())
            count = connection.execute(sa.update(row).where(chosen).values(nothing)).rowcount
            if feature is None:
                connection.execute(sa.update(tables.drift_cursor).values(evaluated_ms=None))
            if count:
                audit.record(connection, author, Action.RESTART_DRIFT, feature or "", {"tests": count})
        return count

    def _complete(self, connection: sa.Connection) -> int | None:
        """The start of the first block that may still grow; None while that is not known, and without any block."""
        row, block = tables.progress, tables.drift_blocks
        moving = row.c.moved > sa.func.now() - sa.text(f"interval '{IDLE_SECONDS} seconds'")
        of_topics = row.c.topic_id.in_(sa.select(block.c.topic_id).distinct())
        found = connection.execute(sa.select(row.c.event_time_ms, moving.label("moving")).where(of_topics)).all()
        times = [BEGINNING_OF_TIME_MS if each.event_time_ms is None else each.event_time_ms for each in found]
        waited = [time_ms for time_ms, each in zip(times, found, strict=True) if each.moving]
        earliest = min(waited) if waited else max(times, default=BEGINNING_OF_TIME_MS)
        if earliest == BEGINNING_OF_TIME_MS:
            return None
        return int(earliest - self._horizon_ms) // self._block_ms * self._block_ms

    def _blocks(self, connection: sa.Connection, starts: Sequence[int]) -> tuple[MergedBlocks, int]:
        """The blocks, and the number of rows of another layout, which are left out."""
        row = tables.drift_blocks
        wanted = sa.select(row).where(row.c.block_ms.in_(starts)).order_by(row.c.block_ms, row.c.version)
        merged: dict[int, dict[str, dict[tuple[str, str], Block]]] = {}
        skipped_rows = 0
        for found in connection.execute(wanted):
            if found.layout != LAYOUT:
                skipped_rows += 1
                continue
            sums = merged.setdefault(found.block_ms, {}).setdefault(found.version, {})
            for key, block in _unpacked(found.sums).items():
                sums[key] = sums[key] + block if key in sums else block
        return merged, skipped_rows


def _store(connection: sa.Connection, evaluation: Evaluation, before: Sequence[DriftState]) -> None:
    known = set(before)
    changed = [state for state in evaluation.states if state not in known]
    if changed:
        row = tables.drift_states
        write = insert(row)
        keys = {"test", "feature", "segment"}
        write = write.on_conflict_do_update(
            index_elements=sorted(keys),
            set_={column.name: write.excluded[column.name] for column in row.c if column.name not in keys},
        )
        connection.execute(write, [_fields(state) for state in changed])
    if evaluation.alarms:
        values = [{"time": sa.func.now(), **_fields(alarm)} for alarm in evaluation.alarms]
        connection.execute(sa.insert(tables.drift_alarms).values(values))


def _states(connection: sa.Connection, encoded: bool = True) -> list[DriftState]:
    row = tables.drift_states
    columns = [column for column in row.c if encoded or column is not row.c.state]
    found = connection.execute(sa.select(*columns).order_by(row.c.feature, row.c.segment, row.c.test))
    return [DriftState(**each._mapping) for each in found]


def _alarm(row: sa.Row[tuple[object, ...]]) -> Recorded:
    fields = dict(row._mapping)
    return Recorded(fields.pop("id"), fields.pop("time"), Alarm(**fields))


def _fields(value: DriftState | Alarm) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__slots__}


def _read(connection: sa.Connection, topic_id: UUID, partition: int, rows: list[Row]) -> dict[Row, Sums]:
    names = {"topic": topic_id, "partition": partition, "layout": LAYOUT} | _columns(rows)
    return {(found.block_ms, found.version): _unpacked(found.sums) for found in connection.execute(_READ, names)}


def _columns(rows: list[Row]) -> dict[str, object]:
    return {"blocks_ms": [block_ms for block_ms, _ in rows], "versions": [version for _, version in rows]}


def _packed(sums: Sums) -> bytes:
    plain = [(*key, block.count, block.sums.astype(_STORED).tobytes()) for key, block in sums.items()]
    return zlib.compress(msgspec.msgpack.encode(plain), level=1)


def _unpacked(stored: bytes) -> Sums:
    plain = msgspec.msgpack.decode(zlib.decompress(stored), type=list[tuple[str, str, int, bytes]])
    return {
        (feature, segment): Block(count, np.frombuffer(sums, _STORED).astype(np.float64))
        for feature, segment, count, sums in plain
    }
