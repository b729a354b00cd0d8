"""Every metric of Weir, with its labels, unit and meaning. Independent of the source of the values.

Seconds and ratios, never milliseconds or percent; no ids as labels, but for model versions, of which there are few.
A worker counts what it does, a trainer what it does; a metric of shared state (buffer, models, quality) is exported
by each replica of the role api with the same values, so it is aggregated by max, never by sum.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from importance.decisions import OUTCOMES
from importance.events import REASONS, SURFACES

_SCORING_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TRAINING_SECONDS = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_LATE_SECONDS = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0, 604800.0, 2592000.0)
_LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_ROLLBACK_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_IMPORTANCE = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


def new_registry() -> CollectorRegistry:
    """Return an empty registry that also reports CPU seconds, memory and open files of this process."""
    registry = CollectorRegistry(auto_describe=True)
    ProcessCollector(registry=registry)
    return registry


class Distribution(Histogram):
    """A histogram that takes many values at once: one by one they cost a microsecond each."""

    def observe_all(self, values: Sequence[float]) -> None:
        """Observe each value."""
        indices = np.searchsorted(self._upper_bounds, values)  # the first bound that is not below the value
        counts = np.bincount(indices, minlength=len(self._buckets)).tolist()
        self._sum.inc(sum(values))
        for bucket, count in zip(self._buckets, counts, strict=True):
            bucket.inc(count)


class WorkerMetrics:
    """The metrics of a worker."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter("weir_events_total", "events read, by outcome", ("type", "outcome"), registry=registry)
        self.ingest_lag_records = Gauge(
            "weir_ingest_lag_records", "end of the partition minus read position", ("partition",), registry=registry
        )
        self.undecided_records = Gauge(
            "weir_undecided_records", "end of the partition minus what is decided", ("partition",), registry=registry
        )
        self.event_time_lag_seconds = Gauge(
            "weir_event_time_lag_seconds", "wall clock minus event time; 0 before the first event", ("partition",),
            registry=registry,
        )  # fmt: skip
        self.join_oldest_seconds = Gauge(
            "weir_join_oldest_seconds", "event time minus that of the next impression to decide; 0 if none waits",
            ("partition",), registry=registry,
        )  # fmt: skip
        self.late_seconds = Distribution(
            "weir_late_seconds", "event time minus the impression's own time, of impressions that arrived too late",
            buckets=_LATE_SECONDS, registry=registry,
        )  # fmt: skip
        self.join_pending = Gauge("weir_join_pending", "impressions that wait for their actions", registry=registry)
        self.samples = Counter("weir_samples_total", "impressions decided", ("surface", "label"), registry=registry)
        self.scoring_seconds = Histogram(
            "weir_scoring_seconds", "time to score a batch", buckets=_SCORING_SECONDS, registry=registry
        )
        self.batch_size = Histogram(
            "weir_batch_size", "samples of a scored batch", buckets=_BATCH_SIZES, registry=registry
        )
        self.importance = Distribution(
            "weir_importance", "raw importance of a sample", buckets=_IMPORTANCE, registry=registry
        )
        self.scores_non_finite = Counter(
            "weir_scores_non_finite_total", "samples whose score was not finite; the floor replaced it",
            registry=registry,
        )  # fmt: skip
        self.buffer_offers = Counter(
            "weir_buffer_offers_total", "samples offered to the buffer: kept, rejected, or of an erased subject",
            ("decision",), registry=registry,
        )  # fmt: skip
        self.dead_letters = Counter(
            "weir_dead_letters_total", "messages that are not valid events, by reason", ("reason",), registry=registry
        )
        self.window_to_buffer_seconds = Distribution(
            "weir_window_to_buffer_seconds",
            "from the fetch of the oldest record decided with a sample to the commit, kept or not",
            buckets=_LATENCY_SECONDS, registry=registry,
        )  # fmt: skip
        self.rollback_seconds = Histogram(
            "weir_rollback_seconds", "from a rollback's entry in the log to this worker's swap",
            buckets=_ROLLBACK_SECONDS, registry=registry,
        )  # fmt: skip
        for kind, outcome in OUTCOMES:
            self.events.labels(kind, outcome)
        for surface, label in product(SURFACES, ("0", "1")):
            self.samples.labels(surface, label)
        for decision in ("kept", "rejected", "erased"):
            self.buffer_offers.labels(decision)
        for reason in REASONS:
            self.dead_letters.labels(reason)


class TrainerMetrics:
    """The metrics of a trainer. ``results`` are the ways in which a fine-tune may end."""

    def __init__(self, registry: CollectorRegistry, results: Iterable[str] = ()) -> None:
        self.training_runs = Counter(
            "weir_training_runs_total", "fine-tunes that ended, by result", ("result",), registry=registry
        )
        for result in results:
            self.training_runs.labels(result)
        self.training_resumed = Counter(
            "weir_training_resumed_total", "fine-tunes of dead trainers that were continued", registry=registry
        )
        self.mlflow_failures = Counter(
            "weir_mlflow_failures_total", "attempts to mirror versions in MLflow that failed", registry=registry
        )
        self.training_seconds = Histogram(
            "weir_training_seconds", "a fine-tune from draw to gate", buckets=_TRAINING_SECONDS, registry=registry
        )
        self.training_rows = Gauge(
            "weir_training_rows", "samples of the buffer that the last fine-tune drew from", registry=registry
        )
        self.training_effective_sample_size = Gauge(
            "weir_training_effective_sample_size",
            "effective size of those samples, in equally weighted ones",
            registry=registry,
        )
        self.training_weight_clip = Gauge(
            "weir_training_weight_clip", "upper bound of a training weight, in multiples of the mean",
            registry=registry,
        )  # fmt: skip
        self.training_clipped_ratio = Gauge(
            "weir_training_clipped_ratio", "fraction of the total training weight removed by this bound, a bias",
            registry=registry,
        )  # fmt: skip
        self.quarantined_rows = Gauge(
            "weir_quarantined_rows", "samples of the buffer scored by versions in quarantine", registry=registry
        )


class HttpMetrics:
    """The metrics of the HTTP interface. A route is a template such as ``/v1/models/{version}``, never a path."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "weir_http_requests_total", "requests answered, by status", ("route", "method", "status"), registry=registry
        )
        self.seconds = Histogram(
            "weir_http_request_seconds", "time from a request's headers to the end of its answer", ("route", "method"),
            buckets=_REQUEST_SECONDS, registry=registry,
        )  # fmt: skip

    def expect(self, route: str, method: str, status: int) -> None:
        """Start the series at 0."""
        self.requests.labels(route, method, str(status))
        self.seconds.labels(route, method)

    def observe(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(route, method, str(status)).inc()
        self.seconds.labels(route, method).observe(seconds)


class DependencyMetrics:
    """Which dependencies of a role answer, by its last probe."""

    def __init__(self, registry: CollectorRegistry, dependencies: Sequence[str]) -> None:
        self.up = Gauge(
            "weir_dependency_up", "1 while the dependency answers this role, else 0", ("dependency",), registry=registry
        )
        self._dependencies = frozenset(dependencies)
        for dependency in dependencies:
            self.up.labels(dependency)

    def set(self, dependency: str, up: bool) -> None:
        """Record the state of one; parts of the role itself, which are not dependencies, are ignored."""
        if dependency in self._dependencies:
            self.up.labels(dependency).set(up)


@dataclass(frozen=True)
class Stratum:
    """Capacity and samples of one stratum of the buffer, and the largest fraction that belongs to one subject."""

    name: str
    capacity: int
    items: int
    largest_subject_share: float = 0.0


@dataclass(frozen=True)
class DriftTest:
    """A test of a feature in a segment: its last check, None before it, and its alarms so far."""

    test: str
    feature: str
    segment: str
    statistic: float | None
    threshold: float | None
    alarms: int


@dataclass(frozen=True)
class SharedState:
    """The metrics of shared state, at one moment. Times in seconds since the epoch.

    ``selection_advantage`` is the pooled difference and the bounds of its interval.
    ``quality`` is by metric, predictor, version and slice; ``recent`` by metric, predictor and slice; ``rollbacks`` by
    result; ``processes`` by role; ``comparisons`` are subjects by test and result.
    ``drift_evaluated_seconds`` is in event time.
    """

    strata: tuple[Stratum, ...] = ()
    effective_sample_size: float | None = None
    active_version: str | None = None
    activated_seconds: float | None = None
    training_frozen: bool = False
    quality: Mapping[tuple[str, str, str, str], float] = field(default_factory=dict)
    recent: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    rollbacks: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[str, int] = field(default_factory=dict)
    comparisons: Mapping[tuple[str, str], int] = field(default_factory=dict)
    rollback_proposed: bool | None = None
    drift: Sequence[DriftTest] = ()
    drift_evaluated_seconds: float | None = None
    selection_advantage: tuple[float, float, float] | None = None
    selection_fallback: bool = False


class SharedStateCollector(Collector):
    """Exports what ``read`` returns at each scrape; nothing when it is ``None``: the store is unavailable."""

    def __init__(self, read: Callable[[], SharedState | None]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Return the families without values, so that registering one reads nothing."""
        return list(_families(SharedState()))

    def collect(self) -> Iterable[Metric]:
        """Return the families with the current values."""
        state = self._read()
        return () if state is None else list(_families(state))


def _families(state: SharedState) -> Iterator[Metric]:
    items = GaugeMetricFamily("weir_buffer_items", "samples in the buffer", labels=["stratum"])
    capacity = GaugeMetricFamily("weir_buffer_capacity", "capacity of the buffer, in samples", labels=["stratum"])
    largest = GaugeMetricFamily(
        "weir_buffer_largest_subject_share",
        "largest fraction of a stratum's samples that belongs to one subject",
        labels=["stratum"],
    )
    for stratum in state.strata:
        largest.add_metric([stratum.name], stratum.largest_subject_share)
        items.add_metric([stratum.name], stratum.items)
        capacity.add_metric([stratum.name], stratum.capacity)
    yield items
    yield capacity
    yield largest

    size = GaugeMetricFamily(
        "weir_buffer_effective_sample_size", "effective size of the weighted buffer in training, in uniform samples"
    )
    info = GaugeMetricFamily("weir_model_info", "1 for the version that the api serves", labels=["version"])
    activated = GaugeMetricFamily("weir_model_activated_timestamp_seconds", "when the active version was activated")
    frozen = GaugeMetricFamily("weir_training_frozen", "1 while training is frozen", value=state.training_frozen)
    if state.effective_sample_size is not None:
        size.add_metric([], state.effective_sample_size)
    if state.active_version is not None:
        info.add_metric([state.active_version], 1)
    if state.activated_seconds is not None:
        activated.add_metric([], state.activated_seconds)
    yield from (size, info, activated, frozen)

    quality = GaugeMetricFamily(
        "weir_model_quality",
        "prequential quality of a version, over the recent samples that it predicted",
        labels=["metric", "predictor", "version", "slice"],
    )
    for labels, value in state.quality.items():
        quality.add_metric(list(labels), value)
    yield quality

    recent = GaugeMetricFamily(
        "weir_predictor_quality",
        "prequential quality of a predictor over all recent samples, whichever version served",
        labels=["metric", "predictor", "slice"],
    )
    for predicted, value in state.recent.items():
        recent.add_metric(list(predicted), value)
    yield recent

    rollbacks = CounterMetricFamily("weir_rollbacks", "rollbacks requested, by result", labels=["result"])
    for result, number in state.rollbacks.items():
        rollbacks.add_metric([result], number)
    yield rollbacks

    compared = GaugeMetricFamily(
        "weir_comparison_subjects",
        "subjects by which a candidate in shadow, or the version before, is compared with the active one",
        labels=["test", "result"],
    )
    for test_and_result in product(("shadow", "mirror"), ("wins", "losses", "ties")):
        compared.add_metric(list(test_and_result), state.comparisons.get(test_and_result, 0))
    yield compared
    proposed = GaugeMetricFamily(
        "weir_rollback_proposed", "1 while the version before has shown to be better than the active one"
    )
    proposed.add_metric([], float(state.rollback_proposed or 0))
    yield proposed

    processes = GaugeMetricFamily("weir_processes", "live processes, by their heartbeats", labels=["role"])
    for role, number in state.processes.items():
        processes.add_metric([role], number)
    yield processes

    yield from _drift_families(state)
    yield from _selection_families(state)


def _drift_families(state: SharedState) -> Iterator[Metric]:
    labels = ["test", "feature", "segment"]
    statistic = GaugeMetricFamily("weir_drift_statistic", "statistic of the last check of a test", labels=labels)
    threshold = GaugeMetricFamily(
        "weir_drift_threshold", "value that this statistic exceeds at an alarm", labels=labels
    )
    alarms = CounterMetricFamily("weir_drift_alarms", "alarms of a test", labels=labels)
    for test in state.drift:
        names = [test.test, test.feature, test.segment]
        alarms.add_metric(names, test.alarms)
        if test.statistic is not None and test.threshold is not None:
            statistic.add_metric(names, test.statistic)
            threshold.add_metric(names, test.threshold)
    yield from (statistic, threshold, alarms)

    evaluated = GaugeMetricFamily(
        "weir_drift_evaluated_timestamp_seconds", "event time up to which the stream was evaluated for drift"
    )
    if state.drift_evaluated_seconds is not None:
        evaluated.add_metric([], state.drift_evaluated_seconds)
    yield evaluated


def _selection_families(state: SharedState) -> Iterator[Metric]:
    of = "AUC on the holdout of training on selected samples minus that on uniform ones, over the latest control arms"
    difference = GaugeMetricFamily("weir_selection_advantage", of)
    low = GaugeMetricFamily("weir_selection_advantage_low", "lower bound of its 95 % interval")
    high = GaugeMetricFamily("weir_selection_advantage_high", "upper bound of its 95 % interval")
    if state.selection_advantage is not None:
        for family, value in zip((difference, low, high), state.selection_advantage, strict=True):
            family.add_metric([], value)
    yield from (difference, low, high)
    yield GaugeMetricFamily(
        "weir_selection_fallback", "1 while fine-tunes use uniform samples only", value=state.selection_fallback
    )
