"""A snapshot of the whole service, read from Postgres: for the live view, the api and `weir up --json`.

Reads through `storage` only.
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
"""The name of each predictor in views and metrics, by its stored name."""
_SLICES = ("all", "known")


@dataclass(frozen=True, slots=True)
class PredictionMetrics:
    """The quality of the predictions of ``samples``; a metric is NaN where a class is missing."""

    samples: int
    auc: float
    log_loss: float
    calibration_error: float

    @classmethod
    def of(cls, counts: Counts) -> "PredictionMetrics":
        """Compute the metrics from an array of counts."""
        return cls(
            quality.samples(counts), quality.auc(counts), quality.log_loss(counts), quality.calibration_error(counts)
        )


@dataclass(frozen=True, slots=True)
class Week:
    """One week of event time: metrics by stored predictor name (`SHOWN_NAMES`), over all items or the known ones."""

    monday: str
    metrics: Mapping[str, PredictionMetrics]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The shared state at one moment. ``weeks`` by slice: ``all`` items, and those ``known`` at the start."""

    positions: Sequence[Position]
    buffer: BufferStats
    active: Active | None
    versions: Sequence[Version]
    log: Sequence[Entry]
    runs: Sequence[Run]
    weeks: Mapping[str, Sequence[Week]]
    recent: Mapping[str, Mapping[str, PredictionMetrics]]

    @property
    def samples(self) -> int:
        """Return the number of samples ever decided."""
        return sum(position.samples for position in self.positions)

    @property
    def untrained(self) -> int:
        """Return the number of samples decided since the start of the last training that finished or is running."""
        last = next((run for run in self.runs if run.result is None or run.result in LEARNED), None)
        return self.samples - (int(last.inputs.get("samples", 0)) if last else 0)

    @property
    def results(self) -> dict[str, int]:
        """Return the number of trainings by result; a training in progress is ``running``."""
        return dict(Counter(run.result or "running" for run in self.runs))

    @property
    def promotions(self) -> int:
        """Return the number of promotions after the first version."""
        return max(0, sum(entry.kind is Kind.PROMOTE for entry in self.log) - 1)

    def mean_auc(self, predictor: str, slice_: str = "all", since: str = "") -> float:
        """Return the mean over weeks of a predictor's AUC, from the week of ``since`` (YYYY-MM-DD) on."""
        return mean_auc(self.weeks.get(slice_, ()), predictor, since)


def mean_auc(weeks: Iterable[Week], predictor: str, since: str = "") -> float:
    """Return the unweighted mean of the weekly AUCs that exist; NaN when none does."""
    values = [
        week.metrics[predictor].auc
        for week in weeks
        if week.monday >= since and predictor in week.metrics and not isnan(week.metrics[predictor].auc)
    ]
    return float(np.mean(values)) if values else nan


@dataclass(frozen=True, slots=True)
class _EvaluatedWeek:
    """A week by slice, and the state of its rows when they were read."""

    state: str
    slices: Mapping[str, Week]


class Snapshots:
    """Takes snapshots. Weeks whose counts have not changed since the last snapshot are not read again.

    Thread-safe: at worst a week is read twice.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts = Quality(engine)
        self._weeks: Mapping[str, _EvaluatedWeek] = {}

    def take(self, topic: UUID) -> Snapshot:
        """Read the state of ``topic``. Raises Unavailable when Postgres does not answer."""
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
        """Return all weeks in order. States are read before counts: what is written in between is read again later."""
        before, states = self._weeks, self._counts.week_states()
        changed = {span for span, state in states.items() if span not in before or before[span].state != state}
        by_span: dict[str, dict[Series, Counts]] = {span: {} for span in changed}
        for series, array in (self._counts.weeks(changed) if changed else {}).items():
            by_span[series.span][series] = array
        read = {span: _EvaluatedWeek(states[span], _by_slice(span, counts)) for span, counts in by_span.items()}
        self._weeks = {span: read[span] if span in read else before[span] for span in sorted(states)}
        return list(self._weeks.values())


def _by_slice(span: str, counts: Mapping[Series, Counts]) -> dict[str, Week]:
    """Return a week for each slice that has counts, summed over the versions that were active in it."""
    monday = span.removeprefix("week:")
    metrics = {name: _by_predictor(counts, name) for name in _SLICES}
    return {name: Week(monday, found) for name, found in metrics.items() if found}


def _by_predictor(counts: Mapping[Series, Counts], slice_: str) -> dict[str, PredictionMetrics]:
    metrics = {}
    for predictor in SHOWN_NAMES:
        arrays = [array for series, array in counts.items() if series.predictor == predictor and series.slice == slice_]
        if arrays:
            metrics[predictor] = PredictionMetrics.of(np.sum(arrays, axis=0))
    return metrics
