"""Keep a scorer's further models on the comparisons that run: a candidate in shadow, and the version before."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic

from importance.shadow import of_share
from storage.artifacts import Artifacts
from storage.comparisons import Comparison, Comparisons, LiveTest
from storage.engine import Engine
from storage.registry import Registry
from trainer.scorer import Scorer
from weir.process import logs
from weir.process.scratch import scratch
from weir.roles.serving import Serving
from weir.settings import Settings

_log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class _Failed:
    """A version that could not be loaded, why, and when it is tried again, in monotonic seconds."""

    version: str
    reason: str
    retry_at: float


class Comparing:
    """Loads what is compared into ``scorer``, and drops it after; `poll` is for one thread at a time.

    ``shares`` are the shares of subjects, by test, for which the scorer predicts; a test that is missing is not loaded.
    A version that cannot be loaded, for whatever reason, is tried again after ``retry_seconds``, and logged once: a
    comparison must not keep a role from work.
    """

    def __init__(
        self,
        comparisons: Comparisons,
        registry: Registry,
        artifacts: Artifacts,
        scorer: Scorer,
        shares: Mapping[LiveTest, float],
        salt: str,
        retry_seconds: float,
    ) -> None:
        self._comparisons = comparisons
        self._registry = registry
        self._artifacts = artifacts
        self._scorer = scorer
        self._shares = {test: share for test, share in shares.items() if share > 0}
        self._salt = salt
        self._retry_seconds = retry_seconds
        self._failed: dict[LiveTest, _Failed] = {}

    def poll(self) -> None:
        """Load and drop, by what runs now. Raises Unavailable when Postgres does not answer."""
        if not self._shares:
            return
        running = {each.test: each for each in self._comparisons.running()}
        loaded = self._scorer.compared
        for test in self._shares:
            wanted = running.get(test)
            if wanted is not None and loaded.get(test) == wanted.version:
                continue
            if test in loaded:  # first: it must not go on where the other one cannot be loaded
                self._scorer.drop(test)
            if wanted is not None:
                self._load(wanted)

    def _load(self, comparison: Comparison) -> None:
        version, share = comparison.version, self._shares[comparison.test]
        before = self._failed.get(comparison.test)
        if before is not None and before.version == version and monotonic() < before.retry_at:
            return
        found = self._registry.version(version)
        choose = None if share >= 1 else partial(of_share, share=share, salt=self._salt)
        try:
            with scratch("model") as directory:
                fetched = partial(self._artifacts.fetch, found.artifact, found.sha256, directory)
                self._scorer.compare(comparison.test, version, fetched, choose)
        except Exception as error:  # of any kind: files, the store, a full disk, an accelerator out of memory
            failed = _Failed(version, str(error) or repr(error), monotonic() + self._retry_seconds)
            if before is None or (before.version, before.reason) != (version, failed.reason):
                _log.warning("version not compared", test=comparison.test, version=version, reason=failed.reason)
            self._failed[comparison.test] = failed
        else:
            self._failed.pop(comparison.test, None)
            _log.info("version compared", test=comparison.test, version=version, against=comparison.against)


def comparing(settings: Settings, engine: Engine, serving: Serving, shares: Mapping[LiveTest, float]) -> Comparing:
    """Return what loads the versions that a role compares, by its shares of subjects."""
    artifacts = Artifacts(settings.artifacts_url)
    return Comparing(
        Comparisons(engine),
        Registry(engine),
        artifacts,
        serving.scorer,
        shares,
        settings.salt,
        settings.retry_limit_seconds,
    )
