"""How far each partition is decided, and the epoch that fences workers which lost their partition."""

from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from importance.errors import Conflict, Fenced, Unavailable
from importance.flush import Flush
from importance.partition_progress import Progress
from storage import audit, tables
from storage.audit import Action, Author
from storage.engine import address_of, transaction

# A healthy transaction holds the row for milliseconds. A longer holder is the session of a stopped process.
_LOCK_TIMEOUT_SECONDS = 1.0
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Assignment:
    """A claimed partition: its new epoch, and where to continue; None where nothing was stored yet."""

    partition: int
    epoch: int
    progress: Progress | None


@dataclass(frozen=True, slots=True)
class Position:
    """A progress row, for display."""

    partition: int
    epoch: int
    generation: int
    backend_pid: int
    samples: int
    progress: Progress | None


class Progresses:
    """The progress rows of one topic. A topic that was created again has another id and starts from zero."""

    def __init__(self, engine: sa.Engine, topic_id: UUID) -> None:
        self._engine = engine
        self._topic_id = topic_id

    def claim(self, partition: int, generation: int) -> Assignment:
        """Raise the partition's epoch: from here on no other worker can store for it.

        ``generation`` is the consumer group's. A later one wins whatever the order of arrival: Fenced when the
        partition was claimed in it. A session that holds the row for too long is ended.
        """
        for _ in range(_ATTEMPTS):
            try:
                return self._claim(partition, generation)
            except Unavailable:
                if not self._end_holder(partition, generation):
                    raise
        raise Unavailable(f"the progress row of partition {partition} is held by others in {address_of(self._engine)}")

    def _claim(self, partition: int, generation: int) -> Assignment:
        row = tables.progress
        pid = sa.func.pg_backend_pid()
        first = insert(row).values(
            topic_id=self._topic_id, partition=partition, epoch=1, generation=generation, backend_pid=pid
        )
        claim = first.on_conflict_do_update(
            index_elements=[row.c.topic_id, row.c.partition],
            set_={"epoch": row.c.epoch + 1, "generation": generation, "backend_pid": pid},
            where=row.c.generation <= generation,
        ).returning(row)
        with transaction(self._engine) as connection:
            _wait_briefly(connection)
            claimed = connection.execute(claim).one_or_none()
        if claimed is None:
            raise Fenced(f"partition {partition} was claimed in a later generation than {generation}: leave it")
        return Assignment(partition, claimed.epoch, _progress(claimed))

    def _end_holder(self, partition: int, generation: int) -> bool:
        """End the session whose transaction holds the row; True when there was one.

        The row's xmax names that transaction, and only a transaction that runs has a session: unlike a stored
        process id, it cannot belong to another process by now.
        """
        holder = sa.text("""
            SELECT pg_terminate_backend(a.pid) FROM progress p JOIN pg_stat_activity a ON a.backend_xid = p.xmax
            WHERE p.topic_id = :topic AND p.partition = :partition AND p.generation <= :generation
        """)
        names = {"topic": self._topic_id, "partition": partition, "generation": generation}
        with transaction(self._engine) as connection:
            return bool(connection.scalars(holder, names).all())

    def positions(self) -> list[Position]:
        """Return all partitions that were ever claimed, in order."""
        row = tables.progress
        with transaction(self._engine) as connection:
            found = connection.execute(
                sa.select(row).where(row.c.topic_id == self._topic_id).order_by(row.c.partition)
            ).all()
        return [Position(r.partition, r.epoch, r.generation, r.backend_pid, r.samples, _progress(r)) for r in found]

    def replace(self, position: Position, progress: Progress, author: Author) -> None:
        """Replace what ``position`` holds with ``progress``, and fence every worker that claimed the partition.

        Recorded in the audit log. Raises :class:`Conflict` when the partition was claimed or has moved since
        ``position`` was read.
        """
        if position.progress is None:
            raise Conflict(f"partition {position.partition} has no progress to replace")
        row = tables.progress
        seen = (row.c.epoch == position.epoch) & (row.c.next == position.progress.next)
        ours = (row.c.topic_id == self._topic_id) & (row.c.partition == position.partition)
        with transaction(self._engine) as connection:
            _wait_briefly(connection)
            moved = connection.execute(
                sa.update(row).where(ours, seen).values(epoch=row.c.epoch + 1, **_columns(progress))
            )
            if not moved.rowcount:
                raise Conflict(f"partition {position.partition} was claimed or has moved meanwhile: read it again")
            before = {"next": position.progress.next, "event_time_ms": position.progress.event_time_ms}
            audit.record(connection, author, Action.RESET, str(position.partition), before)
            # Event time may have been in the future: what comes next lies before what was evaluated for drift.
            connection.execute(sa.update(tables.drift_cursor).values(evaluated_ms=None))

    def acknowledged(self) -> dict[int, int]:
        """Return partition → the offset at which reading resumes, of all that anything was stored for."""
        return {at.partition: at.progress.acknowledged for at in self.positions() if at.progress is not None}


def advance(connection: sa.Connection, topic_id: UUID, flush: Flush) -> bool:
    """Move `next` by compare-and-set; False when this very flush was stored before. Raises Fenced.

    Holds the row until the transaction ends, so that no other worker can store for the partition.
    """
    row = tables.progress
    ours = (row.c.topic_id == topic_id) & (row.c.partition == flush.partition)
    to = flush.progress
    moved = connection.execute(
        sa.update(row)
        .where(ours, row.c.epoch == flush.epoch, sa.func.coalesce(row.c.next, flush.old_next) == flush.old_next)
        .values(
            **_columns(to),
            samples=row.c.samples + flush.samples,
            importance_mass=row.c.importance_mass + flush.mass,
            backend_pid=sa.func.pg_backend_pid(),
            moved=sa.func.now(),
        )
    )
    if moved.rowcount:
        return True
    found = connection.execute(sa.select(row.c.epoch, row.c.next).where(ours)).one_or_none()
    if found is not None and found.next == to.next != flush.old_next:
        return False
    state = "does not exist" if found is None else f"has epoch {found.epoch} and is at offset {found.next}"
    raise Fenced(
        f"partition {flush.partition} {state}; this worker has epoch {flush.epoch} and is at {flush.old_next}:  "
        "it lost the partition, and nothing was stored"
    )


@dataclass(frozen=True, slots=True)
class Decided:
    """What was ever decided, over all topics and partitions: ``samples``, and their importance ``mass``."""

    samples: int
    mass: float


def decided(engine: sa.Engine) -> Decided:
    """Return what was ever decided."""
    row = tables.progress
    sums = (sa.func.coalesce(sa.func.sum(of), 0) for of in (row.c.samples, row.c.importance_mass))
    with transaction(engine) as connection:
        samples, mass = connection.execute(sa.select(*sums)).one()
    return Decided(int(samples), float(mass))


def _wait_briefly(connection: sa.Connection) -> None:
    """Let the transaction wait for the row no longer than a healthy one may hold it."""
    connection.execute(sa.select(sa.func.set_config("lock_timeout", f"{_LOCK_TIMEOUT_SECONDS * 1000:.0f}", True)))


def _columns(progress: Progress) -> dict[str, Any]:
    return {
        "next": progress.next,
        "event_time_ms": progress.event_time_ms,
        "acknowledged": progress.acknowledged,
        "acknowledged_event_time_ms": progress.acknowledged_event_time_ms,
        "read": progress.read,
        "ceilings": list(chain.from_iterable(progress.ceilings)),
    }


def _progress(row: sa.Row[Any]) -> Progress | None:
    if row.next is None:
        return None
    ceilings = tuple(zip(row.ceilings[::2], row.ceilings[1::2], strict=True))
    return Progress(row.next, row.event_time_ms, row.acknowledged, row.acknowledged_event_time_ms, row.read, ceilings)
