"""Score the samples again that a version in quarantine has scored, by the active version, while nothing else is due."""

from time import monotonic

from importance.errors import Conflict
from monitoring.metrics import TrainerMetrics
from storage.artifacts import Artifacts
from storage.audit import Author, Via
from storage.engine import Engine
from storage.quarantine import Quarantine
from storage.registry import Registry
from weir.process import logs
from weir.roles.common import rescoring
from weir.roles.serving import Serving
from weir.settings import Settings

_log = logs.logger(__name__)
_POLL_SECONDS = 5.0  # a worker that has not swapped yet adds rows of the old version for a second or two
_RETRY_SECONDS = 300.0


class QuarantineWatch:
    """Looks every few seconds for rows of versions in quarantine; their number is a metric."""

    def __init__(self, settings: Settings, engine: Engine, artifacts: Artifacts, metrics: TrainerMetrics) -> None:
        self._settings = settings
        self._engine = engine
        self._registry, self._artifacts = Registry(engine), artifacts
        self._quarantine = Quarantine(engine)
        self._metrics = metrics
        self._next = monotonic()

    def poll(self) -> None:
        """Score such rows again, if there are any. Raises Unavailable, and StoreUnavailable."""
        if monotonic() < self._next:
            return
        self._next = monotonic() + _POLL_SECONDS
        rows = self._quarantine.rows()
        self._metrics.quarantined_rows.set(sum(rows.values()))
        if not rows:
            return
        try:
            left = self._score_again(rows)
        except Conflict as error:  # other settings made the keys: a worker's start, or an operator, scores all again
            _log.warning("samples of a version in quarantine are not scored again", reason=str(error))
            self._next = monotonic() + _RETRY_SECONDS
            return
        self._metrics.quarantined_rows.set(left)

    def _score_again(self, rows: dict[str, int]) -> int:
        """Score the rows of each version again; return how many are left because the active version cannot score."""
        serving = Serving(self._settings, self._registry, self._artifacts)  # for this only: it holds a model
        serving.poll()
        by = serving.scorer.version
        if by is None or by in rows:
            _log.warning("samples of a version in quarantine wait for an active version", reason=serving.trouble)
            return sum(rows.values())
        author = Author("trainer", Via.TRAINER, "scored by a version in quarantine")
        again = rescoring(self._settings, self._engine, serving.scorer.score, author)
        for version in rows:
            scored = again.rows_of(version)
            self._quarantine.note_rescored(version, scored)
            _log.info("samples of a version in quarantine were scored again", version=version, rows=scored, by=by)
        return 0
