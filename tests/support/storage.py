"""Offers and workers for the tests of the room that stores."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import event

from importance.drift.block import Block
from importance.drift.sketch_key import SketchKey
from importance.flush import Flush
from importance.partition_progress import Progress
from importance.quality import CountKey, Counts
from importance.sample import Action, Correction, Rating, Sample, label
from importance.scores import Offer
from importance.shadow import Gains
from importance.strata import NEGATIVE, POSITIVE
from storage.audit import Author, Via
from storage.buffer import Buffer
from storage.progress import Progresses

TOPIC = UUID("6f1f6f0a-7a53-4b6c-9a3f-2f3a0c1d9e11")
WORKER = Author("worker", Via.WORKER)
CAPACITIES = {"holdout": 2, "uniform": 2, "positive": 3, "negative": 3}


def offer(
    id_: str,
    key: float,
    stratum: str = NEGATIVE,
    *,
    log_weight: float = 0.0,
    actions: int = 0,
    rating: Rating | None = None,
    kept: bool = True,
    **fields: object,
) -> Offer:
    """An offer of a sample with an id, a key, and otherwise plain content."""
    actions = actions or (Action.CLICK if stratum == POSITIVE else Action.NONE)
    content: dict[str, object] = {
        "id": id_,
        "subject": "someone",
        "surface": "search",
        "query": "lamp",
        "item": "item-1",
        "text": "a lamp",
        "time_ms": 1_300_000_000_000,
        "partition": 0,
        "offset": 0,
        "actions": int(actions),
        "rating": rating,
    }
    return Offer(
        sample=Sample(**(content | fields)),  # type: ignore[arg-type]
        label=label(actions),
        importance=0.5,
        estimator="uniform",
        model="v1",
        prediction=0.25,
        stratum=stratum,
        log_weight=log_weight,
        key=key,
        probability=1.0,
        kept=kept,
        threshold_epoch=0,
    )


class Owner:
    """A worker that owns one partition: claims it, and flushes one batch after the other."""

    def __init__(
        self, engine: sa.Engine, buffer: Buffer, partition: int = 0, generation: int = 1, topic: UUID = TOPIC
    ) -> None:
        assignment = Progresses(engine, topic).claim(partition, generation)
        self.buffer = buffer
        self.partition = partition
        self.epoch = assignment.epoch
        self.next = assignment.progress.next if assignment.progress else 0

    def prepare(
        self,
        offers: Sequence[Offer] = (),
        corrections: Sequence[Correction] = (),
        quality: Mapping[CountKey, Counts] | None = None,
        *,
        stay: bool = False,
        sketches: Mapping[SketchKey, Block] | None = None,
        event_time_ms: int | None = None,
        mass: float | None = None,
        gains: Gains | None = None,
    ) -> Flush:
        """The flush that would store these next; by the thresholds as they are now."""
        thresholds = self.buffer.thresholds()
        asked = [each for each in offers if each.key > thresholds.kappa(each.stratum, each.sample.subject)]
        to = self.next if stay else self.next + max(len(offers), 1)
        return Flush(
            partition=self.partition,
            epoch=self.epoch,
            old_next=self.next,
            progress=Progress(to, 1_000 * to if event_time_ms is None else event_time_ms, 0, 0),
            offers=asked,
            corrections=corrections,
            quality=quality or {},
            samples=len(offers) or int(bool(sketches)),
            sketches=sketches or {},
            mass=len(offers) if mass is None else mass,
            gains=gains or {},
        )

    def flush(
        self,
        offers: Sequence[Offer] = (),
        corrections: Sequence[Correction] = (),
        quality: Mapping[CountKey, Counts] | None = None,
        *,
        sketches: Mapping[SketchKey, Block] | None = None,
        event_time_ms: int | None = None,
        mass: float | None = None,
        gains: Gains | None = None,
    ) -> Flush:
        """Store them; returns what was stored."""
        flush = self.prepare(
            offers, corrections, quality, sketches=sketches, event_time_ms=event_time_ms, mass=mass, gains=gains
        )
        self.buffer.persist(flush)
        self.next = flush.progress.next
        return flush


def rows(engine: sa.Engine, statement: str, **names: object) -> list[tuple[object, ...]]:
    """What a query yields."""
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.text(statement), names)]


def held(engine: sa.Engine) -> dict[str, float]:
    """The ids in the table of keys, and their keys."""
    return dict(rows(engine, "SELECT id, key FROM buffer_keys"))  # type: ignore[arg-type]


def end_holders_of_advisory_locks(engine: sa.Engine) -> None:
    """End every session of this database that holds one, and wait until it has ended."""
    own = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    rows(engine, f"SELECT pg_terminate_backend(pid, 10000) FROM pg_locks WHERE locktype = 'advisory' AND {own}")


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[str]]:
    """Every statement that goes to the database meanwhile, COPY excepted."""
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)
