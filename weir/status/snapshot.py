"""What the whole service looks like at one moment, read from Postgres: for the live view, the api and `weir up --json`.

Reads through `storage` only; knows nothing of how it is shown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from uuid import UUID

import numpy as np

from importance import quality
from importance.quality import Counts
from storage.buffer_reader import BufferReader, BufferStats
from storage.engine import Engine
from storage.progress import Position, Progresses
from storage.quality import Quality, Series
from storage.registry import Active, Entry, Kind, Registry, Version
from storage.runs import LEARNED, Run, Runs

SERVING, FROZEN, REFERENCE = "serving", "frozen", "reference"
PREDICTORS = (SERVING, FROZEN, REFERENCE)


@dataclass(frozen=True, slots=True)
class Figures:
    """How good predictions were. ``samples`` were predicted; a figure is NaN where a class is missing."""

    samples: int
    auc: float
    log_loss: float
    calibration_error: float

    @classmethod
    def of(cls, counts: Counts) -> "Figures":
        """The figures of an array of counts."""
        return cls(
            quality.samples(counts), quality.auc(counts), quality.log_loss(counts), quality.calibration_error(counts)
        )


@dataclass(frozen=True, slots=True)
class Week:
    """One week of event time: figures by predictor (serving, frozen, reference), over all items or the known ones."""

    monday: str
    figures: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is shared, at one moment. ``weeks`` by slice: ``all`` items, and those ``known`` at the start."""

    positions: Sequence[Position]
    buffer: BufferStats
    active: Active | None
    versions: Sequence[Version]
    log: Sequence[Entry]
    runs: Sequence[Run]
    weeks: Mapping[str, Sequence[Week]]
    recent: Mapping[str, Mapping[str, Figures]]

    @property
    def samples(self) -> int:
        """Samples ever decided."""
        return sum(position.samples for position in self.positions)

    @property
    def untrained(self) -> int:
        """Samples decided since the last training began that was carried through, or goes on."""
        began = next((run for run in self.runs if run.result is None or run.result in LEARNED), None)
        return self.samples - (int(began.inputs.get("samples", 0)) if began else 0)

    @property
    def results(self) -> dict[str, int]:
        """How many trainings ended in which way; one that goes on is ``running``."""
        return dict(Counter(run.result or "running" for run in self.runs))

    @property
    def promotions(self) -> int:
        """Promotions after the first version."""
        return max(0, sum(entry.kind is Kind.PROMOTE for entry in self.log) - 1)

    def mean_auc(self, predictor: str, slice_: str = "all", since: str = "") -> float:
        """The mean over weeks of a predictor's AUC, from the week of ``since`` (YYYY-MM-DD) on."""
        return mean_auc(self.weeks.get(slice_, ()), predictor, since)


def mean_auc(weeks: Iterable[Week], predictor: str, since: str = "") -> float:
    """The plain mean of the weekly AUCs that exist; NaN when none does."""
    values = [
        week.figures[predictor].auc
        for week in weeks
        if week.monday >= since and predictor in week.figures and not isnan(week.figures[predictor].auc)
    ]
    return float(np.mean(values)) if values else nan


def take(engine: Engine, topic: UUID) -> Snapshot:
    """Read everything. Raises Unavailable when Postgres does not answer."""
    registry, counts = Registry(engine), Quality(engine)
    by_week, recent = counts.weeks(), counts.recent()
    return Snapshot(
        positions=Progresses(engine, topic).positions(),
        buffer=BufferReader(engine).stats(),
        active=registry.active(),
        versions=registry.versions(),
        log=registry.log(),
        runs=Runs(engine).latest(1_000),
        weeks={slice_: weeks_of(by_week, slice_) for slice_ in ("all", "known")},
        recent={slice_: _by_predictor(recent, slice_) for slice_ in ("all", "known")},
    )


def weeks_of(counts: Mapping[Series, Counts], slice_: str) -> list[Week]:
    """The weeks in order, the versions that served in one added up."""
    spans = sorted({series.span for series in counts if series.slice == slice_})
    return [
        Week(
            span.removeprefix("week:"),
            _by_predictor({series: array for series, array in counts.items() if series.span == span}, slice_),
        )
        for span in spans
    ]


def _by_predictor(counts: Mapping[Series, Counts], slice_: str) -> dict[str, Figures]:
    figures = {}
    for predictor in PREDICTORS:
        arrays = [array for series, array in counts.items() if series.predictor == predictor and series.slice == slice_]
        if arrays:
            figures[predictor] = Figures.of(np.sum(arrays, axis=0))
    return figures
