"""The two buffers behind one interface: the pure one in memory, and the one in Postgres with several workers."""

from collections.abc import Sequence
from time import time
from typing import Protocol

import sqlalchemy as sa

from importance.pseudonyms import Pseudonyms
from importance.reservoir import AdmissionPolicy, Reservoir, Score
from importance.sample import Correction
from importance.scores import Offer
from importance.segments import Segments
from importance.strata import StrataPolicy
from importance.thresholds import AdmissionThresholds
from storage import migrate, tables
from storage.audit import Author, Via
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.engine import create_engine, transaction
from storage.erasure import TOLERANCE_MS, Erasure
from storage.rescoring import Rescoring
from tests.support.storage import TOPIC, WORKER, Owner

WRITERS = 3
PSEUDONYMS = Pseudonyms("weir")
FRANCE = "country=France"
POLICY = AdmissionPolicy(
    StrataPolicy("salt", shares=(0.2, 0.2, 0.25, 0.25), segments=Segments("country", (("France", 0.1),))),
    "salt",
    half_life_seconds=3_600.0,
    landmark_ms=1_300_000_000_000,
)
Row = tuple[str, float, int, float]  # stratum, probability, label, log weight


class SharedBuffer(Protocol):
    """A buffer with several writers, each with its own copy of the thresholds."""

    def empty(self, capacities: dict[str, int], subject_capacities: dict[str, int] | None = None) -> None: ...
    def thresholds(self, writer: int) -> AdmissionThresholds: ...
    def write(self, writer: int, offers: Sequence[Offer], late: Sequence[Correction]) -> None: ...
    def rescore(self, stratum: str, score: Score) -> None: ...
    def rescore_rows(self, model: str, score: Score) -> None: ...
    def resize(self, capacities: dict[str, int]) -> None: ...
    def dissolve(self, stratum: str, score: Score) -> None: ...
    def erase(self, subject: str) -> None: ...
    def trimmed(self) -> tuple[AdmissionThresholds, dict[str, Row]]: ...


class InMemory:
    """A reservoir; its writers ask old copies of the thresholds, as workers do."""

    def empty(self, capacities: dict[str, int], subject_capacities: dict[str, int] | None = None) -> None:
        self.reservoir = Reservoir(capacities, subject_capacities=subject_capacities)
        self.copies = [self.reservoir.thresholds()] * WRITERS

    def thresholds(self, writer: int) -> AdmissionThresholds:
        return self.copies[writer]

    def write(self, writer: int, offers: Sequence[Offer], late: Sequence[Correction]) -> None:
        thresholds = self.copies[writer]
        self.reservoir.offer(each for each in offers if each.key > thresholds.kappa(each.stratum, each.sample.subject))
        self.reservoir.correct(late)
        self.reservoir.trim()
        self.copies[writer] = self.reservoir.thresholds()

    def rescore(self, stratum: str, score: Score) -> None:
        self.reservoir.rescore(stratum, score, POLICY)

    def rescore_rows(self, model: str, score: Score) -> None:
        ids = [row.sample.id for row in self.reservoir.rows() if row.model == model]
        self.reservoir.rescore_rows(ids, score, POLICY)

    def resize(self, capacities: dict[str, int]) -> None:
        self.reservoir.resize(capacities)

    def dissolve(self, stratum: str, score: Score) -> None:
        self.reservoir.dissolve(stratum)

    def erase(self, subject: str) -> None:
        self.reservoir.erase(subject, int(time() * 1_000) + TOLERANCE_MS)
        self.copies = [self.reservoir.thresholds()] * WRITERS

    def trimmed(self) -> tuple[AdmissionThresholds, dict[str, Row]]:
        self.reservoir.trim()
        found = {
            row.sample.id: (row.stratum, row.probability, row.label, row.log_weight) for row in self.reservoir.rows()
        }
        return self.reservoir.thresholds(), found


class InPostgres:
    """Workers with engines, copies and partitions of their own, on one database."""

    def __init__(self, url: str) -> None:
        self.engines = [create_engine(url) for _ in range(WRITERS)]
        migrate.upgrade(self.engines[0])

    def empty(self, capacities: dict[str, int], subject_capacities: dict[str, int] | None = None) -> None:
        with transaction(self.engines[0]) as connection:
            for table in (tables.progress, tables.strata, tables.subjects, tables.intake, tables.keys, tables.samples,
                          tables.untrimmed, tables.erased_subjects):  # fmt: skip
                connection.execute(sa.delete(table))
        self.capacities = capacities
        self.owners = [
            Owner(engine, Buffer(engine, capacities, TOPIC, subject_capacities=subject_capacities), partition)
            for partition, engine in enumerate(self.engines)
        ]
        for owner in self.owners:
            owner.buffer.thresholds()

    def thresholds(self, writer: int) -> AdmissionThresholds:
        return self.owners[writer].buffer.thresholds()

    def write(self, writer: int, offers: Sequence[Offer], late: Sequence[Correction]) -> None:
        self.owners[writer].flush(offers, late)

    def rescore(self, stratum: str, score: Score) -> None:
        self._rescoring(score).stratum(stratum)

    def rescore_rows(self, model: str, score: Score) -> None:
        self._rescoring(score).rows_of(model)

    def resize(self, capacities: dict[str, int]) -> None:
        """One worker is started again with another capacity; the others need not be."""
        self.owners[0].buffer = Buffer(self.engines[0], capacities, TOPIC)
        self.owners[0].buffer.trim()

    def dissolve(self, stratum: str, score: Score) -> None:
        """All workers are started again without the stratum."""
        self.capacities = {name: capacity for name, capacity in self.capacities.items() if name != stratum}
        assert self._rescoring(score).bring() == {}
        for owner, engine in zip(self.owners, self.engines, strict=True):
            owner.buffer = Buffer(engine, self.capacities, TOPIC)

    def erase(self, subject: str) -> None:
        left = Erasure(self.engines[0], PSEUDONYMS).erase(subject, Author("test", Via.CLI)).tombstone
        assert left is not None
        for owner in self.owners:
            owner.buffer.refresh(left.erased)

    def trimmed(self) -> tuple[AdmissionThresholds, dict[str, Row]]:
        buffer = self.owners[0].buffer
        buffer.trim()
        drawn = BufferReader(self.engines[0]).draw(tuple(self.capacities))
        columns = (drawn.stratum, drawn.probability.tolist(), drawn.label.tolist(), drawn.log_weight.tolist())
        return buffer.thresholds(), dict(zip(drawn.ids, zip(*columns, strict=True), strict=True))

    def _rescoring(self, score: Score) -> Rescoring:
        return Rescoring(self.engines[0], POLICY, dict.fromkeys(self.capacities, ""), score, WORKER)
