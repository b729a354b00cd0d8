"""Keep a scorer on the version that is active in the registry. Shared by the worker and the api."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic, time

from importance.errors import BadArtifact, StoreUnavailable, Unavailable
from importance.scores import BASELINE
from storage.artifacts import Artifacts
from storage.heartbeats import Model, SwapState
from storage.registry import MOVES, Active, Entry, Kind, Registry, walk_back
from trainer.device import choose, use_threads
from trainer.scorer import Scorer, ScoringConfig
from weir.process import logs
from weir.process.scratch import scratch
from weir.settings import Settings, values
from weir.settings.race import policies

_log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Swap:
    """A version was loaded: how it was activated, and the seconds from that entry of the log until now."""

    version: str
    sequence: int
    is_rollback: bool
    since_entry_seconds: float
    load_seconds: float


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why the active version is not served: its files are damaged, or the artifact store does not answer."""

    version: str
    reason: str
    is_damaged: bool


class Serving:
    """A scorer and where its versions come from. `poll` is for one thread at a time.

    ``clock`` returns monotonic seconds: an active version that cannot be served is tried again after a pause.
    """

    def __init__(
        self, settings: Settings, registry: Registry, artifacts: Artifacts, clock: Callable[[], float] = monotonic
    ) -> None:
        use_threads(settings.threads)
        self._registry = registry
        self._artifacts = artifacts
        self._clock = clock
        self._retry_seconds = settings.retry_limit_seconds
        self._retry_at = 0.0
        self._sequence = -1
        self._loading = False
        self._hindrance: Hindrance | None = None
        self.scorer = Scorer(
            ScoringConfig(
                values.mixture(settings),
                settings.top_fraction,
                settings.score_precision == "bfloat16",
                values.positive_from(settings),
                settings.drift == "on",
                tuple({each.estimator for each in policies(settings)}),
            ),
            choose(settings.device),
            settings.score_batch,
        )

    @property
    def trouble(self) -> str | None:
        """Why the active version is not served, and which one is; None when it is."""
        if self._hindrance is None:
            return None
        version, reason = self._hindrance.version, self._hindrance.reason
        instead = self.scorer.version or "none"
        if self._hindrance.is_damaged:
            return f"version {version} cannot be served, {instead} is: {reason}; roll back, or restore its files"
        return f"version {version} is not fetched yet, {instead} is served: {reason}"

    @property
    def refusal(self) -> str | None:
        """The trouble if the active version is damaged: then the role is not ready. Else None."""
        return self.trouble if self._hindrance is not None and self._hindrance.is_damaged else None

    def state(self) -> Model:
        """Return what is served now, for the heartbeat."""
        version = self.scorer.version
        swap: SwapState
        if self._loading or (self.trouble and not self.refusal):
            swap = "loading"
        else:
            swap = "refused" if self.refusal else "serving" if version else "none"
        return Model(version, self._sequence if self._sequence >= 0 else None, swap, self.trouble)

    def start(self) -> bool:
        """Load the baseline, which is the first version ever promoted, and the active version; return True.

        Where the files of the active one are bad, the last good one of the promotion log is served. Raises BadArtifact
        when there is none, Unavailable while there is no model.
        """
        first = self._registry.first_version()
        if first is None:
            raise Unavailable("there is no model yet: run 'weir models init'")
        baseline = self._registry.version(first)
        with scratch("model") as directory:
            try:
                self.scorer.compare(
                    BASELINE, baseline.version, self._artifacts.fetch(baseline.artifact, baseline.sha256, directory)
                )
            except BadArtifact as error:
                _log.error("baseline model not loaded", version=baseline.version, reason=str(error))
        self.poll()
        if self.scorer.version is None:
            self._fall_back()
        return True

    def _fall_back(self) -> None:
        """Serve the last version below the active one whose files are good."""
        for version in reversed(walk_back(self._registry.log())[:-1]):
            try:
                self._load(version)
            except BadArtifact as error:
                _log.error("model refused", version=version, reason=str(error))
            else:
                return
        raise BadArtifact(self.trouble or "no version can be served")

    def poll(self) -> Swap | None:
        """Swap to the active version unless it is served already.

        A bad file, or a store that does not answer, leaves the served one in place; the version is tried again every
        ``retry_limit_seconds``. Raises StoreUnavailable where none is served yet.
        """
        active = self._registry.active()
        if active is None or not self._is_due(active):
            return None
        swapped = hindrance = None
        try:
            if active.version != self.scorer.version:
                swapped = self._swap(active)
        except BadArtifact as error:
            hindrance = Hindrance(active.version, str(error), is_damaged=True)
        except StoreUnavailable as error:
            if self.scorer.version is None:
                raise
            hindrance = Hindrance(active.version, str(error), is_damaged=False)
        self._note(hindrance)
        self._sequence = active.sequence
        return swapped

    def _note(self, hindrance: Hindrance | None) -> None:
        """Record why the active version is not served, log it once, and pause before it is tried again."""
        if hindrance is not None:
            self._retry_at = self._clock() + self._retry_seconds
        if hindrance is not None and hindrance != self._hindrance:
            event, log = ("model refused", _log.error) if hindrance.is_damaged else ("model not fetched", _log.warning)
            log(event, version=hindrance.version, serving=self.scorer.version, reason=hindrance.reason)
        self._hindrance = hindrance

    def _is_due(self, active: Active) -> bool:
        """Whether the log is at another entry, or what hindered the active version may be gone.

        A database that was restored, or failed over without its last entries, is at an earlier one.
        """
        return active.sequence != self._sequence or (self._hindrance is not None and self._clock() >= self._retry_at)

    def _swap(self, active: Active) -> Swap:
        seconds = self._load(active.version)
        entry = self._activation(active)
        swap = Swap(
            active.version,
            active.sequence,
            entry.kind is Kind.ROLLBACK,
            max(0.0, time() - entry.time.timestamp()),
            seconds,
        )
        _log.info(
            "model swapped",
            version=swap.version,
            sequence=swap.sequence,
            load_seconds=round(swap.load_seconds, 4),
            since_entry_seconds=round(swap.since_entry_seconds, 4),
        )
        if self.scorer.missing:
            _log.warning("estimator waits for a version that serves it", missing=", ".join(self.scorer.missing))
        return swap

    def _load(self, name: str) -> float:
        """Load a version into the scorer; return the seconds that it took."""
        version = self._registry.version(name)
        self._loading = True
        try:
            with scratch("model") as directory:
                fetched = partial(self._artifacts.fetch, version.artifact, version.sha256, directory)
                return self.scorer.swap(version.version, fetched)
        finally:
            self._loading = False

    def _activation(self, active: Active) -> Entry:
        """Return the entry that activated the version; the log may have grown since, and a freeze activates nothing."""
        entry = self._registry.last_entry(MOVES, up_to=active.sequence)
        assert entry is not None  # a version is active, so an entry activated it
        return entry
