"""The figures that all roles share, as the api exports them: read from Postgres at each scrape."""

from collections.abc import Mapping

from importance import quality
from importance.errors import Unavailable
from importance.quality import Counts
from monitoring.metrics import SharedState, Stratum
from storage.pool import Pool
from storage.quality import Quality, Series
from storage.registry import Kind, Registry

REFERENCE = "reference"  # stands for a version where the plain reference predicts


def shared_state(registry: Registry, pool: Pool, counts: Quality) -> SharedState | None:
    """The shared figures of now; None while Postgres is away."""
    try:
        stats, active, log, recent = pool.stats(), registry.active(), registry.log(), counts.recent()
        frozen = registry.frozen()
    except Unavailable:
        return None
    moves = [entry for entry in log if entry.kind in (Kind.PROMOTE, Kind.ROLLBACK)]
    return SharedState(
        strata=tuple(Stratum(x.name, x.capacity, x.items) for x in stats.strata),
        effective_sample_size=stats.effective_sample_size,
        active_version=active.version if active else None,
        activated_seconds=moves[-1].time.timestamp() if moves else None,
        training_frozen=frozen,
        quality=model_quality(recent),
        rollbacks={"done": sum(entry.kind is Kind.ROLLBACK for entry in log)},
    )


def model_quality(counts: Mapping[Series, Counts]) -> dict[tuple[str, str, str], float]:
    """Metric, version and slice → value, over recent samples; NaN where a class is missing.

    The first version predicts twice: as the frozen control all along, and as long as it served. The control's
    figures are over more samples, and stand.
    """
    found: dict[tuple[str, str, str], float] = {}
    for series in sorted(counts, key=lambda series: series.predictor == "frozen"):
        version = REFERENCE if series.predictor == "reference" else series.version
        for name, metric in _METRICS.items():
            found[name, version, series.slice] = metric(counts[series])
    return found


_METRICS = {"auc": quality.auc, "log_loss": quality.log_loss, "calibration_error": quality.calibration_error}
