"""Read the buffer: a draw to train on, statistics by stratum, one sample explained.

Every answer comes from one snapshot, and rows at or below the threshold of their stratum or subject, which the next
trim deletes, are not seen.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import msgspec
import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from importance.errors import NotFound
from importance.sample import Outcome, Rating, Sample, outcome
from importance.strata import HOLDOUT, STRATA
from importance.thresholds import inclusion_probabilities, inclusion_probability
from storage import tables
from storage.engine import transaction

_decode = msgspec.json.Decoder(Sample).decode

_keys, _samples, _strata = tables.keys, tables.samples, tables.strata
_subjects = tables.subjects
_KAPPA = sa.func.greatest(_strata.c.threshold, _subjects.c.threshold)  # a subject that is below its bound has none
_OF_SUBJECT = (_subjects.c.stratum == _keys.c.stratum) & (_subjects.c.subject == _keys.c.subject)
_ROWS = sa.select(
    *_keys.c,
    *(column for column in _samples.c if column.name not in ("id", "subject", "sample")),
    sa.cast(_samples.c.sample, sa.Text).label("sample"),
    _KAPPA.label("threshold"),
).select_from(
    _keys.join(_samples, _keys.c.id == _samples.c.id)
    .join(_strata, _keys.c.stratum == _strata.c.stratum)
    .outerjoin(_subjects, _OF_SUBJECT)
)
_READABLE = _keys.c.key > _KAPPA
_BATCH_ROWS = 500  # of a snapshot: with texts as long as they may be, some megabytes
_PAGE_BYTES = 4 << 20


@dataclass(frozen=True, eq=False, slots=True)
class Draw:
    """n samples of the buffer, in the order of their ids; every column has n entries, every array shape [n].

    ``label`` and ``outcome`` include late actions. ``probability`` is the chance of being held: a mean over
    the stream is estimated with weights 1/probability. ``key`` is not among the columns: nothing may depend on it.
    ``stored`` rises with the time of storing; ``watermark`` is its largest value at the moment of the draw:
    rows that a later draw returns for ``newer_than`` this watermark are fresh.
    """

    samples: list[Sample]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    log_weight: NDArray[np.float64]
    importance: NDArray[np.float64]
    prediction: NDArray[np.float64]  # of the version that served at the time; NaN where it made none
    time_ms: NDArray[np.int64]
    stored: NDArray[np.int64]
    stratum: list[str]
    estimator: list[str]
    model: list[str]
    watermark: int

    def __len__(self) -> int:
        return len(self.samples)

    def rows(self, numbers: NDArray[np.int64]) -> Self:
        """Return those samples of the draw, by row number [m], in that order."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        taken: dict[str, Any] = {
            name: [column[number] for number in numbers] if isinstance(column, list) else column[numbers]
            for name, column in columns.items()
            if name != "watermark"
        }
        return replace(self, **taken)

    @property
    def ids(self) -> list[str]:
        """Return the samples' ids."""
        return [sample.id for sample in self.samples]

    @property
    def query(self) -> list[str]:
        """Return the search text, or the context of a recommendation or an ad."""
        return [sample.query for sample in self.samples]

    @property
    def text(self) -> list[str]:
        """Return the items' texts."""
        return [sample.text for sample in self.samples]

    @property
    def item(self) -> list[str]:
        """Return the items' ids."""
        return [sample.item for sample in self.samples]

    @property
    def subject(self) -> list[str]:
        """Return the subjects they were shown to."""
        return [sample.subject for sample in self.samples]

    @property
    def surface(self) -> list[str]:
        """Return where they were shown."""
        return [sample.surface for sample in self.samples]

    @property
    def outcome(self) -> list[Outcome]:
        """Return the strongest action of each, as known now."""
        return [outcome(sample.actions) for sample in self.samples]


@dataclass(frozen=True, slots=True)
class StratumStats:
    """A stratum's capacity, rows and κ (−∞ while nothing was rejected), and (Σ1/p)²/Σ1/p² of its rows.

    ``rule`` is the scoring configuration of its keys. One subject may hold ``subject_capacity`` rows;
    ``largest_subject_share`` is the part of the rows that one holds, at most the bound once the stratum is full.
    """

    name: str
    capacity: int
    items: int
    threshold: float
    effective_sample_size: float
    rule: str
    subject_capacity: int
    largest_subject_share: float


@dataclass(frozen=True, slots=True)
class BufferStats:
    """The whole buffer, and each stratum in the order of `STRATA`, then those of segments by name."""

    capacity: int
    items: int
    effective_sample_size: float
    strata: tuple[StratumStats, ...]


@dataclass(frozen=True, slots=True)
class Explained:
    """Why a sample is in the buffer. ``in_buffer`` is False when the next trim will delete it."""

    sample: Sample
    label: int
    outcome: Outcome
    importance: float
    estimator: str
    model: str
    prediction: float | None
    stratum: str
    key: float
    log_weight: float
    threshold: float
    probability: float
    in_buffer: bool


@dataclass(frozen=True, eq=False, slots=True)
class Held:
    """The rows of one snapshot: how many, and they themselves in the order of their ids, some at a time."""

    items: int
    batches: Iterator[list[Explained]]


class BufferReader:
    """Reads the buffer: changes nothing and takes no locks."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def draw(self, strata: Sequence[str] | None = None, newer_than: int = 0) -> Draw:
        """Return all rows of some strata, of which ``stored`` > ``newer_than``; the holdout only when it is named."""
        chosen = _keys.c.stratum != HOLDOUT if strata is None else _keys.c.stratum.in_(strata)
        wanted = _ROWS.where(_READABLE, chosen, _keys.c.stored > newer_than).order_by(_keys.c.id)
        with transaction(self._engine, "REPEATABLE READ") as connection:
            watermark = int(connection.scalar(sa.select(sa.func.coalesce(sa.func.max(_keys.c.stored), 0))) or 0)
            rows = connection.execute(wanted).all()

        def floats(name: str) -> NDArray[np.float64]:
            return np.array([getattr(row, name) for row in rows], dtype=np.float64)

        samples = [_sample(row) for row in rows]
        log_weight = floats("log_weight")
        return Draw(
            samples=samples,
            label=np.array([row.label for row in rows], dtype=np.int64),
            probability=inclusion_probabilities(log_weight, floats("threshold"), floats("m")),
            log_weight=log_weight,
            importance=floats("importance"),
            prediction=floats("prediction"),
            time_ms=np.array([sample.time_ms for sample in samples], dtype=np.int64),
            stored=np.array([row.stored for row in rows], dtype=np.int64),
            stratum=[row.stratum for row in rows],
            estimator=[row.estimator for row in rows],
            model=[row.model for row in rows],
            watermark=watermark,
        )

    def ids(self) -> list[str]:
        """Return the ids of all rows."""
        with transaction(self._engine) as connection:
            return list(connection.scalars(sa.select(_keys.c.id)))

    def trainable(self, at_most: int) -> int:
        """Return how many rows may train, at most ``at_most``, so that a large buffer costs no more to count."""
        rows = (
            sa.select(sa.literal(1))
            .select_from(_keys.join(_strata, _keys.c.stratum == _strata.c.stratum).outerjoin(_subjects, _OF_SUBJECT))
            .where(_READABLE, _keys.c.stratum != HOLDOUT)
            .limit(at_most)
        )
        with transaction(self._engine) as connection:
            return int(connection.scalar(sa.select(sa.func.count()).select_from(rows.subquery())) or 0)

    def stats(self) -> BufferStats:
        """Return capacities, rows and thresholds. Reads the narrow table only."""
        one_by = sa.func.exp(-sa.func.least(0.0, _keys.c.m, _keys.c.log_weight - _KAPPA))
        of_subjects = (
            sa.select(
                _keys.c.stratum,
                sa.func.count().label("items"),
                sa.func.sum(one_by).label("weights"),
                sa.func.sum(one_by * one_by).label("squares"),
            )
            .select_from(_keys.join(_strata, _keys.c.stratum == _strata.c.stratum).outerjoin(_subjects, _OF_SUBJECT))
            .where(_READABLE)
            .group_by(_keys.c.stratum, _keys.c.subject)
            .subquery()
        )

        def summed(name: str) -> sa.ColumnElement[float]:
            return sa.cast(sa.func.coalesce(sa.func.sum(of_subjects.c[name]), 0), sa.Double).label(name)

        statistics = (
            sa.select(
                _strata.c.stratum,
                _strata.c.capacity,
                _strata.c.threshold,
                _strata.c.rule,
                _strata.c.subject_capacity,
                summed("items"),
                summed("weights"),
                summed("squares"),
                sa.func.coalesce(sa.func.max(of_subjects.c["items"]), 0).label("largest"),
            )
            .select_from(_strata.outerjoin(of_subjects, of_subjects.c.stratum == _strata.c.stratum))
            .group_by(_strata.c.stratum)
        )
        with transaction(self._engine) as connection:
            rows = sorted(connection.execute(statistics).all(), key=lambda row: _order(row.stratum))
        return BufferStats(
            capacity=sum(row.capacity for row in rows),
            items=sum(int(row.items) for row in rows),
            effective_sample_size=_effective(sum(row.weights for row in rows), sum(row.squares for row in rows)),
            strata=tuple(
                StratumStats(
                    row.stratum,
                    row.capacity,
                    int(row.items),
                    row.threshold,
                    _effective(row.weights, row.squares),
                    row.rule,
                    row.subject_capacity,
                    row.largest / row.items if row.items else 0.0,
                )
                for row in rows
            ),
        )

    def explain(self, sample_id: str) -> Explained:
        """Return one row by its sample's id; raise NotFound when the buffer never admitted it, or evicted it."""
        with transaction(self._engine) as connection:
            row = connection.execute(_ROWS.where(_keys.c.id == sample_id)).one_or_none()
        if row is None:
            raise NotFound(
                f"sample {sample_id!r} is not in the buffer: it was rejected or evicted, or is not decided yet"
            )
        return _explained(row)

    @contextmanager
    def snapshot(self, *, holdout: bool = False) -> Iterator[Held]:
        """Yield all rows as they are at one moment, read in constant memory; those of the holdout only on demand."""
        chosen = sa.true() if holdout else _keys.c.stratum != HOLDOUT
        wanted = _ROWS.where(_READABLE, chosen).order_by(_keys.c.id)
        counted = sa.select(sa.func.count()).select_from(wanted.with_only_columns(_keys.c.id).order_by(None).subquery())
        with transaction(self._engine, "REPEATABLE READ") as connection:
            items = int(connection.scalar(counted) or 0)
            with connection.execution_options(yield_per=_BATCH_ROWS).execute(wanted) as found:
                yield Held(items, ([_explained(row) for row in rows] for rows in found.partitions()))

    def page(self, stratum: str | None = None, after: str = "", limit: int = 100) -> tuple[list[Explained], str | None]:
        """Return up to ``limit`` rows, or as many as 4 MiB hold, with ids after ``after``; and the next ``after``.

        That is None at the end. Without a stratum all but the holdout; NotFound where there is none of that name.
        """
        chosen = _keys.c.stratum != HOLDOUT if stratum is None else _keys.c.stratum == stratum
        wanted = _ROWS.where(_READABLE, chosen, _keys.c.id > after).order_by(_keys.c.id).limit(limit + 1)
        rows: list[Any] = []
        with transaction(self._engine, "REPEATABLE READ") as connection:
            names = connection.scalars(sa.select(_strata.c.stratum)).all()
            if stratum is not None and stratum not in names:
                known = ", ".join(sorted(names, key=_order)) or "none yet"
                raise NotFound(f"the buffer has no stratum {stratum!r}; it has {known}")
            size = 0
            with connection.execution_options(yield_per=20).execute(wanted) as found:
                for row in found:
                    size += len(row.sample)
                    if rows and (len(rows) == limit or size > _PAGE_BYTES):
                        return [_explained(each) for each in rows], rows[-1].id
                    rows.append(row)
        return [_explained(each) for each in rows], None


def _explained(row: Any) -> Explained:
    sample = _sample(row)
    return Explained(
        sample=sample,
        label=row.label,
        outcome=outcome(sample.actions),
        importance=row.importance,
        estimator=row.estimator,
        model=row.model,
        prediction=row.prediction,
        stratum=row.stratum,
        key=row.key,
        log_weight=row.log_weight,
        threshold=row.threshold,
        probability=inclusion_probability(row.log_weight, row.threshold, row.m),
        in_buffer=row.key > row.threshold,
    )


def _sample(row: Any) -> Sample:
    """Return the sample as it was decided, with the actions and the rating that are known now."""
    rating = None
    if row.rating_time_ms is not None:
        rating = Rating(row.rating_time_ms, row.rating_id, row.rating_value)
    return msgspec.structs.replace(_decode(row.sample), actions=row.actions, rating=rating)


def _order(stratum: str) -> tuple[int, str]:
    """Return the position of a stratum in reports."""
    return (STRATA.index(stratum) if stratum in STRATA else len(STRATA), stratum)


def _effective(weights: float, squares: float) -> float:
    """Return (Σw)²/Σw²; 0 of nothing."""
    return weights * weights / squares if squares else 0.0
