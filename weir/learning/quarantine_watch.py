"""Score the samples again that a version in quarantine has scored, by the active version, while nothing else is due."""

from time import monotonic

from importance.errors import BadArtifact, Conflict, InvalidInput, StoreUnavailable
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
_SOON_SECONDS = 5.0  # a worker that has not swapped yet adds rows of the old version for a second or two
_POLL_SECONDS = 60.0  # each look reads the whole buffer, and a quarantine may stand for months
_RETRY_SECONDS = 300.0


class QuarantineWatch:
    """Looks every few seconds for rows of versions in quarantine; their number is a metric."""

    def __init__(self, settings: Settings, engine: Engine, artifacts: Artifacts, metrics: TrainerMetrics) -> None:
        self._settings = settings
        self._engine = engine
        self._registry, self._artifacts = Registry(engine), artifacts
        self._quarantine = Quarantine(engine)
        self._metrics = metrics
        self._sequence: int | None = None
        self._next = 0.0

    def poll(self, sequence: int) -> None:
        """Score such rows again, if there are any; at once when the log has grown to ``sequence``. Raises Unavailable.

        What keeps the rows from being scored is logged, and tried again: it must not keep the trainer from training.
        """
        if sequence == self._sequence and monotonic() < self._next:
            return
        self._sequence = sequence
        rows = self._quarantine.rows()
        self._metrics.quarantined_rows.set(sum(rows.values()))
        pause = _SOON_SECONDS if rows else _POLL_SECONDS
        if rows:
            try:
                self._metrics.quarantined_rows.set(self._score_again(rows))
            # Keys made by other settings, or a version that does not load: an operator's, or the next version's.
            except (Conflict, InvalidInput, BadArtifact, StoreUnavailable) as error:
                _log.warning("samples of a version in quarantine are not scored again", reason=str(error))
                pause = _RETRY_SECONDS
        self._next = monotonic() + pause

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
