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
from importance.scores import BASELINE, REFERENCE, SERVING
from storage.buffer_reader import BufferReader, BufferStats
from storage.engine import Engine
from storage.progress import Position, Progresses
from storage.quality import Quality, Series
from storage.registry import Active, Entry, Kind, Registry, Version
from storage.runs import LEARNED, Run, Runs

SHOWN_NAMES = {SERVING: "serving", BASELINE: "baseline", REFERENCE: "reference"}
"""What each predictor is called in views and metrics; their keys are what is stored."""
_SLICES = ("all", "known")


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


@dataclass(frozen=True, slots=True)
class _EvaluatedWeek:
    """A week by slice, and the state of its rows when they were read."""

    state: str
    slices: Mapping[str, Week]


class Snapshots:
    """Takes snapshots. The weeks whose counts have not changed since the last one are not read again.

    May be used by several threads: at worst a week is read twice.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts = Quality(engine)
        self._weeks: Mapping[str, _EvaluatedWeek] = {}

    def take(self, topic: UUID) -> Snapshot:
        """Read everything of ``topic``. Raises Unavailable when Postgres does not answer."""
        engine, registry = self._engine, Registry(self._engine)
        weeks, recent = self._evaluated_weeks(), self._counts.recent()
        return Snapshot(
            positions=Progresses(engine, topic).positions(),
            buffer=BufferReader(engine).stats(),
            active=registry.active(),
            versions=registry.versions(),
            log=registry.log(),
            runs=Runs(engine).latest(1_000),
            weeks={name: [week.slices[name] for week in weeks if name in week.slices] for name in _SLICES},
            recent={name: _by_predictor(recent, name) for name in _SLICES},
        )

    def _evaluated_weeks(self) -> list[_EvaluatedWeek]:
        """All weeks in order. States are read before counts: what is written in between is read again next time."""
        before, states = self._weeks, self._counts.week_states()
        changed = {span for span, state in states.items() if span not in before or before[span].state != state}
        by_span: dict[str, dict[Series, Counts]] = {span: {} for span in changed}
        for series, array in (self._counts.weeks(changed) if changed else {}).items():
            by_span[series.span][series] = array
        read = {span: _EvaluatedWeek(states[span], _by_slice(span, counts)) for span, counts in by_span.items()}
        self._weeks = {span: read[span] if span in read else before[span] for span in sorted(states)}
        return list(self._weeks.values())


def _by_slice(span: str, counts: Mapping[Series, Counts]) -> dict[str, Week]:
    """A week of each slice that has counts, the versions that served in it added up."""
    monday = span.removeprefix("week:")
    figures = {name: _by_predictor(counts, name) for name in _SLICES}
    return {name: Week(monday, found) for name, found in figures.items() if found}


def _by_predictor(counts: Mapping[Series, Counts], slice_: str) -> dict[str, Figures]:
    figures = {}
    for predictor in SHOWN_NAMES:
        arrays = [array for series, array in counts.items() if series.predictor == predictor and series.slice == slice_]
        if arrays:
            figures[predictor] = Figures.of(np.sum(arrays, axis=0))
    return figures
