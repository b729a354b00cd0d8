"""Turn what the stream tells of itself into metrics, log lines and readiness."""

from collections import Counter
from threading import Lock

from monitoring.metrics import WorkerMetrics
from stream.reports import Change, Failed, Lost, Report, Skipped, Standing, Turn
from weir import logs

_log = logs.logger(__name__)


class Reporting:
    """The ``report`` of a worker: called from its event loop, read by the threads of its page."""

    def __init__(self, metrics: WorkerMetrics) -> None:
        self._metrics = metrics
        self._away: dict[str, str] = {}
        self._changing = Lock()
        self._partitions: set[int] = set()

    def reasons(self) -> list[str]:
        """Why the worker cannot take events now; empty when it can."""
        with self._changing:
            return list(self._away.values())

    def __call__(self, report: Report) -> None:
        """Take one report."""
        match report:
            case Turn():
                self._turn(report)
            case Standing():
                self._standing(report)
            case Change():
                self.change(report.dependency, report.available, report.reason)
            case Lost():
                _log.warning("partition lost", partition=report.partition, reason=report.reason)
            case Skipped():
                _log.error(
                    "records were skipped: read them by setting the group's offset back, if the log has them still",
                    partition=report.partition, first=report.known, end=report.first,
                )  # fmt: skip
            case Failed():
                _log.error("worker failed", exc_info=report.error)

    def change(self, dependency: str, available: bool, reason: str) -> None:
        """A dependency went away or came back: one line each, and readiness follows."""
        with self._changing:
            known = dependency in self._away
            if available:
                self._away.pop(dependency, None)
            else:
                self._away[dependency] = f"{dependency}: {reason}"
        if available and known:
            _log.info("dependency is back", dependency=dependency)
        elif not available and not known:
            _log.warning("dependency is away", dependency=dependency, reason=reason)

    def rolled_back(self, seconds: float) -> None:
        """A rollback reached this worker so long after its entry in the log."""
        self._metrics.rollback_seconds.observe(seconds)

    def _turn(self, turn: Turn) -> None:
        metrics = self._metrics
        for (kind, outcome), count in turn.counts.items():
            metrics.events.labels(kind, outcome).inc(count)
        for reason in turn.dead:
            metrics.dead_letters.labels(reason).inc()
        for scored in turn.scored:
            metrics.batch_size.observe(scored.samples)
            metrics.scoring_seconds.observe(scored.seconds)
        if non_finite := sum(scored.non_finite for scored in turn.scored):
            metrics.scores_non_finite.inc(non_finite)
            _log.warning("scores were no numbers, and the floor took their place", samples=non_finite)
        for (surface, label), count in Counter((offer.sample.surface, offer.label) for offer in turn.offers).items():
            metrics.samples.labels(surface, str(label)).inc(count)
        kept = sum(offer.kept for offer in turn.offers)
        metrics.buffer_offers.labels("kept").inc(kept)
        metrics.buffer_offers.labels("rejected").inc(len(turn.offers) - kept)
        metrics.importance.observe_all([offer.importance for offer in turn.offers])
        metrics.window_to_buffer_seconds.observe_all([turn.seconds] * len(turn.offers))

    def _standing(self, standing: Standing) -> None:
        metrics = self._metrics
        for partition in self._partitions - standing.lag.keys():
            metrics.ingest_lag_records.remove(str(partition))  # another worker's now: its figure, not ours
        self._partitions = set(standing.lag)
        for partition, lag in standing.lag.items():
            metrics.ingest_lag_records.labels(str(partition)).set(lag)
        metrics.join_pending.set(sum(standing.waiting.values()))
