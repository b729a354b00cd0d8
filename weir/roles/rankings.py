"""The rankings of the api: those of the active version, and those of the canary for its share of the subjects."""

from importance.canary import is_canary
from importance.scores import SERVING, SHADOW
from monitoring.rank_metrics import RankMetrics
from trainer.ranker import Ranker
from trainer.scorer import Scorer
from weir.api.rankings import Rankings
from weir.settings import Settings


class RoutedRankings:
    """Returns the rankings that a subject belongs to. Each version has a queue, a thread and a cache of its own."""

    def __init__(self, settings: Settings, scorer: Scorer, metrics: RankMetrics) -> None:
        self._rankers = [Ranker(scorer, settings.rank_cache_bytes, predictor) for predictor in (SERVING, SHADOW)]
        self._active, self._canary = (
            Rankings(
                ranker.predict,
                metrics,
                max_items=settings.rank_queue_items,
                deadline_seconds=settings.rank_deadline_seconds,
            )
            for ranker in self._rankers
        )
        self._share, self._salt = settings.canary_share, settings.salt

    def __call__(self, subject: str | None) -> Rankings:
        """Return where the rankings of this subject wait; those of no subject are the active version's."""
        return self._canary if is_canary(subject, self._share, self._salt) else self._active

    def release(self) -> None:
        """Drop the weights and caches of versions that serve no longer; Unavailable before there is one."""
        for ranker in self._rankers:
            ranker.release()

    def close(self) -> None:
        """Answer what waits, and end the threads."""
        self._active.close()
        self._canary.close()
