"""How well the active version predicts the latest samples, for the trigger `performance`."""

from time import monotonic

from importance import quality
from importance.scores import SERVING
from storage.engine import Engine
from storage.quality import Quality
from storage.registry import Active, Registry
from trainer.triggers import RecentQuality

_POLL_SECONDS = 10.0  # reading the counts of the last ten thousand offsets takes milliseconds a partition


class PerformanceWatch:
    """Reads the counts of the active version's own predictions, at most every ten seconds."""

    def __init__(self, engine: Engine, registry: Registry) -> None:
        self._quality, self._registry = Quality(engine), registry
        self._next = monotonic()
        self._found: tuple[str, RecentQuality | None] | None = None

    def poll(self, active: Active) -> RecentQuality | None:
        """Return the recent quality; None where the version has no AUC to be compared with, or no class yet."""
        if self._found is None or self._found[0] != active.version or monotonic() >= self._next:
            self._found = active.version, self._read(active.version)
            self._next = monotonic() + _POLL_SECONDS
        return self._found[1]

    def _read(self, version: str) -> RecentQuality | None:
        reference = self._registry.version(version).metrics.get("auc")
        counts = [
            each
            for series, each in self._quality.recent().items()
            if (series.predictor, series.version, series.slice) == (SERVING, version, "all")
        ]
        if reference is None or not counts or not all(counts[0].sum(axis=1)):
            return None
        error = quality.auc_error(counts[0])
        return RecentQuality(quality.auc(counts[0]), error, quality.samples(counts[0]), float(reference))
