"""Turn the stream's reports into metrics, log lines and readiness."""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from threading import Lock
from time import time
from typing import Any

from monitoring.metrics import DependencyMetrics, WorkerMetrics
from storage import heartbeats
from storage.heartbeats import Assigned, Model
from stream.reports import Change, CommittedBatch, Failed, LagReport, Lost, Report, Skipped
from weir.process import logs
from weir.roles.late_warnings import LateWarnings

_log = logs.logger(__name__)


class Reporting:
    """The ``report`` of a role: called from its event loop, read by the threads of its metrics endpoint and heartbeat.

    ``model`` returns the loaded version, ``training`` what the next fine-tune waits for, ``clock`` seconds since the
    epoch.
    """

    def __init__(
        self, metrics: WorkerMetrics, dependencies: DependencyMetrics, clock: Callable[[], float] = time
    ) -> None:
        self._metrics = metrics
        self._dependencies = dependencies
        self._clock = clock
        self.model: Callable[[], Model] = Model
        self.training: Callable[[], Mapping[str, Any] | None] = lambda: None
        self._starting = True
        self._progressed: datetime | None = None
        self._error: tuple[str, datetime] | None = None
        self._assigned: tuple[Assigned, ...] = ()
        self._late = LateWarnings(clock)
        self._unavailable: dict[str, dict[str, str]] = {}  # dependency → witness → reason
        self._changing = Lock()
        self._partitions: set[int] = set()

    def unavailable(self) -> dict[str, str]:
        """Return what the role cannot work without now, each with the reason; empty when it can."""
        with self._changing:
            return {name: next(iter(reasons.values())) for name, reasons in self._unavailable.items() if reasons}

    def reasons(self) -> list[str]:
        """Return why the role cannot work now; empty when it can."""
        return [f"{name}: {reason}" for name, reason in self.unavailable().items()]

    def started(self) -> None:
        """Record that the role has all that it needs, and works from now on."""
        self._starting = False

    def progress(self) -> None:
        """Record that a piece of work is complete."""
        self._progressed = self._now()

    def failed(self, error: str) -> None:
        """Record ``error`` as the last one of the role."""
        self._error = (error, self._now())

    def heartbeat(self) -> heartbeats.Report:
        """Return what the heartbeat of the role reports now."""
        reasons = self.reasons()
        error, error_time = self._error or (None, None)
        return heartbeats.Report(
            state="starting" if self._starting else "not_ready" if reasons else "working",
            reasons=tuple(reasons),
            model=self.model(),
            progressed=self._progressed,
            error=error,
            error_time=error_time,
            partitions=self._assigned,
            training=self.training(),
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def __call__(self, report: Report) -> None:
        """Record one report."""
        match report:
            case CommittedBatch():
                self._committed(report)
            case LagReport():
                self._lag(report)
            case Change():
                self.change(report.dependency, report.available, report.reason)
            case Lost():
                _log.warning("partition lost", partition=report.partition, reason=report.reason)
            case Skipped():
                _log.error(
                    "records were skipped: the log lost them before they were read; send them again if you can",
                    partition=report.partition, first=report.known, end=report.first,
                )  # fmt: skip
            case Failed():
                self.failed(f"{type(report.error).__name__}: {report.error}")
                _log.error("worker failed", exc_info=report.error)

    def change(self, dependency: str, available: bool, reason: str, witness: str = "") -> None:
        """Record that ``witness`` cannot reach a dependency, or reached it.

        A dependency is unavailable while one of its witnesses cannot reach it; each change is one line of the log, and
        readiness follows.
        """
        with self._changing:
            reasons = self._unavailable.setdefault(dependency, {})
            known = bool(reasons)
            if available:
                reasons.pop(witness, None)
            else:
                reasons[witness] = reason
            still = bool(reasons)
            self._dependencies.set(dependency, not still)
        if known and not still:
            _log.info("dependency recovered", dependency=dependency)
        elif still and not known:
            if not self._starting:  # what a start waits for is a reason, not an error
                self.failed(f"{dependency}: {reason}")
            _log.warning("dependency unavailable", dependency=dependency, reason=reason)

    def rolled_back(self, seconds: float) -> None:
        """Observe the seconds from a rollback's entry in the log until this worker had swapped."""
        self._metrics.rollback_seconds.observe(seconds)

    def _committed(self, batch: CommittedBatch) -> None:
        self.progress()
        metrics = self._metrics
        for (kind, outcome), count in batch.counts.items():
            metrics.events.labels(kind, outcome).inc(count)
        metrics.late_seconds.observe_all([(late.event_time_ms - late.own_ms) / 1_000 for late in batch.late])
        self._late.add(batch.partition, batch.late, "late" in batch.dead)
        for reason in batch.dead:
            metrics.dead_letters.labels(reason).inc()
        for scored in batch.scored:
            metrics.batch_size.observe(scored.samples)
            metrics.scoring_seconds.observe(scored.seconds)
        if non_finite := sum(scored.non_finite for scored in batch.scored):
            metrics.scores_non_finite.inc(non_finite)
            _log.warning("non-finite scores replaced by the floor", samples=non_finite)
        for (surface, label), count in Counter((offer.sample.surface, offer.label) for offer in batch.offers).items():
            metrics.samples.labels(surface, str(label)).inc(count)
        kept = sum(offer.kept for offer in batch.offers)
        metrics.buffer_offers.labels("kept").inc(kept)
        metrics.buffer_offers.labels("rejected").inc(len(batch.offers) - kept)
        metrics.buffer_offers.labels("erased").inc(batch.erased)
        metrics.importance.observe_all([offer.importance for offer in batch.offers])
        metrics.window_to_buffer_seconds.observe_all([batch.seconds] * len(batch.offers))

    def _lag(self, lag_report: LagReport) -> None:
        metrics = self._metrics
        for partition in self._partitions - lag_report.lag.keys():
            for gauge in (
                metrics.ingest_lag_records, metrics.undecided_records, metrics.event_time_lag_seconds,
                metrics.join_oldest_seconds,
            ):  # fmt: skip
                gauge.remove(str(partition))  # now reported by the worker it is assigned to
        self._partitions = set(lag_report.lag)
        self._assigned = tuple(
            Assigned(partition, lag, lag_report.waiting.get(partition, 0), _waited_seconds(lag_report, partition))
            for partition, lag in sorted(lag_report.lag.items())
        )
        for partition, lag in lag_report.lag.items():
            metrics.ingest_lag_records.labels(str(partition)).set(lag)
            metrics.undecided_records.labels(str(partition)).set(lag_report.undecided[partition])
            now_ms = lag_report.event_times_ms.get(partition)
            lag_seconds = 0.0 if now_ms is None else self._clock() - now_ms / 1_000
            metrics.event_time_lag_seconds.labels(str(partition)).set(lag_seconds)
            metrics.join_oldest_seconds.labels(str(partition)).set(_waited_seconds(lag_report, partition) or 0.0)
        metrics.join_pending.set(sum(lag_report.waiting.values()))
        self._late.tick()


def _waited_seconds(lag_report: LagReport, partition: int) -> float | None:
    now_ms, oldest_ms = lag_report.event_times_ms.get(partition), lag_report.oldest_ms.get(partition)
    return None if now_ms is None or oldest_ms is None else max(0.0, (now_ms - oldest_ms) / 1_000)
