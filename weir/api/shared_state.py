"""The metrics of what all roles share, exported by the api: read from Postgres at each scrape."""

from collections.abc import Callable, Mapping
from dataclasses import astuple

from importance import quality
from importance.errors import Unavailable
from importance.quality import Counts
from importance.scores import REFERENCE
from monitoring.metrics import DriftTest, SharedState, Stratum
from storage.buffer_reader import BufferReader
from storage.drift import Drift
from storage.heartbeats import Heartbeats
from storage.quality import Quality, Series
from storage.registry import MOVES, Kind, Registry
from weir.status import service
from weir.status.comparisons import live_tests
from weir.status.selection import SelectionStatus
from weir.status.snapshot import SHOWN_NAMES


def shared_state(
    registry: Registry,
    reader: BufferReader,
    counts: Quality,
    heartbeats: Heartbeats,
    drift: Drift,
    selection: Callable[[], SelectionStatus],
    served: Callable[[], str | None] | None = None,
) -> SharedState | None:
    """Read the shared state; None while Postgres is unavailable.

    ``served`` returns the version that this replica has loaded, by default the active one.
    """
    try:
        stats, active, move, recent = reader.stats(), registry.active(), registry.last_entry(MOVES), counts.recent()
        frozen, rollbacks = registry.frozen(), registry.count(Kind.ROLLBACK)
        processes = service.live_processes(heartbeats.all())
        tests, evaluated_ms = drift.states(), drift.evaluated_ms()
        chosen = selection()
        live = live_tests(registry.comparisons, active.version if active else None)
    except Unavailable:
        return None
    return SharedState(
        strata=tuple(Stratum(x.name, x.capacity, x.items, x.largest_subject_share) for x in stats.strata),
        effective_sample_size=stats.effective_sample_size,
        active_version=served() if served else active.version if active else None,
        activated_seconds=move.time.timestamp() if move else None,
        training_frozen=frozen,
        quality=model_quality(recent),
        recent=predictor_quality(recent),
        rollbacks={"done": rollbacks},
        processes=processes,
        comparisons={
            (test, result): getattr(found, result)
            for test, found in (("shadow", live.shadow), ("mirror", live.mirror))
            if found is not None
            for result in ("wins", "losses", "ties")
        },
        rollback_proposed=live.rollback_proposed is not None,
        drift=[DriftTest(x.test, x.feature, x.segment, x.statistic, x.threshold, x.alarms) for x in tests],
        drift_evaluated_seconds=None if evaluated_ms is None else evaluated_ms / 1_000,
        selection_advantage=None if chosen.advantage is None else astuple(chosen.advantage),
        selection_fallback=chosen.uniform_only,
    )


def model_quality(counts: Mapping[Series, Counts]) -> dict[tuple[str, str, str, str], float]:
    """Map metric, predictor, version and slice to the value over recent samples; NaN where a class is missing."""
    return {
        (name, SHOWN_NAMES[series.predictor], _version(series), series.slice): metric(array)
        for series, array in counts.items()
        for name, metric in _METRICS.items()
    }


def predictor_quality(counts: Mapping[Series, Counts]) -> dict[tuple[str, str, str], float]:
    """Map metric, predictor and slice to the value over the same recent samples, summed over versions."""
    sums: dict[tuple[str, str], Counts] = {}
    for series, array in counts.items():
        key = SHOWN_NAMES[series.predictor], series.slice
        sums[key] = sums[key] + array if key in sums else array
    return {
        (name, predictor, slice_): metric(array)
        for (predictor, slice_), array in sums.items()
        for name, metric in _METRICS.items()
    }


def _version(series: Series) -> str:
    return SHOWN_NAMES[REFERENCE] if series.predictor == REFERENCE else series.version


_METRICS = {"auc": quality.auc, "log_loss": quality.log_loss, "calibration_error": quality.calibration_error}
