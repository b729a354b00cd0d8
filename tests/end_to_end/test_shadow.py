"""Live traffic decides: it promotes a candidate in shadow, refuses a poisoned one, and finds a version that turned bad.

Every process is real. A candidate is poisoned by labels that were shuffled before it learned.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from storage.artifacts import Artifacts
from storage.buffer_reader import BufferReader
from storage.comparisons import Comparison, Comparisons, Ending, LiveTest
from storage.progress import decided
from storage.registry import Kind, Registry, State
from storage.requests import Requests
from tests.support.eager import eager
from tests.support.feeder import Feeder
from tests.support.role import running, until_alive
from tests.support.rollback import promote
from tests.support.service import Service
from trainer import version_directory as versions
from trainer.tuning import FineTuning, Optimisation, TrainingRows, fine_tune
from weir.status.comparisons import live_tests

pytestmark = pytest.mark.timeout(900)  # two minutes on an idle machine; several processes start meanwhile

ON_REQUEST = {
    "WEIR_TRAIN_AFTER_SAMPLES": "1000000",
    "WEIR_TRAIN_ON_DRIFT": "off",
    "WEIR_MIRROR_SHARE": "1",
    "WEIR_MIRROR_LIMIT_RESULTS": "100000",
}


class Shop(Feeder):
    """Visitors who see eight items each, like those of an even number, and hardly any others, and come once."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.kafka, service.topic, per_second=30, taste=0.9, shown=8, subjects=10**9)


class Live:
    """A service under traffic, and what its registry says of it."""

    def __init__(self, service: Service, **settings: str) -> None:
        service.environment |= ON_REQUEST | settings
        self.service = service
        self.registry, self.comparisons = Registry(service.engine), Comparisons(service.engine)
        self.environment = eager(service) | ON_REQUEST | settings

    @property
    def samples(self) -> int:
        """Samples that were decided so far."""
        return decided(self.service.engine).samples

    @property
    def active(self) -> str:
        """The version that serves."""
        found = self.registry.active()
        assert found is not None
        return found.version

    def last(self, test: LiveTest) -> Comparison:
        """The newest comparison of a test."""
        found = self.comparisons.last(test)
        assert found is not None
        return found

    def promoted(self, wait: Callable[[str, Callable[[], bool]], None]) -> str:
        """Ask for a fine-tune once there are samples, and wait for its promotion; the version that serves then."""
        wait("samples to train on", lambda: self.samples > 500)
        self.registry.unfreeze(actor="test", reason="learn")
        Requests(self.service.engine).ask("test")
        wait("a promotion", lambda: self.active != "v1")
        return self.active

    def poisoned(self) -> str:
        """Register what the first version learns from the buffer once its labels are shuffled; its name."""
        drawn, first = BufferReader(self.service.engine).draw(), self.registry.version("v1")
        store = Artifacts(self.service.settings.artifacts_url)
        base = versions.load(store.fetch(first.artifact, first.sha256, self.service.home / "first"))
        labels, everything = np.random.default_rng(1).permutation(drawn.label), np.ones(len(drawn))
        rows = TrainingRows(drawn.samples, labels, everything, everything.astype(np.bool_))
        tuned = fine_tune(base, rows, FineTuning(steps=100, optimisation=Optimisation(batch_size=16)), seed=1)
        version = self.registry.new_version()
        folder: Path = versions.save(tuned.model, self.service.home / version)
        self.registry.register(version, *store.save(version, folder), parent="v1")
        return version


def test_live_traffic_promotes_a_candidate_refuses_a_poisoned_one_and_takes_it_back_when_it_was_forced(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    live = Live(service, WEIR_SHADOW="on", WEIR_SHADOW_PROMOTE_BY="superiority", WEIR_AUTO_ROLLBACK="on")
    service.start()
    with Shop(service), running("trainer", service.home / "trainer", live.environment) as trainer:
        wait = partial(until_alive, roles=[trainer])
        good = live.promoted(wait)
        shadow, entry = live.last(LiveTest.SHADOW), live.registry.log()[-1]
        assert (shadow.version, shadow.result, entry.actor) == (good, Ending.PROMOTED, "trainer")
        assert "E of superiority" in entry.reason
        assert live.last(LiveTest.MIRROR).ended is None

        bad, active = live.poisoned(), live.registry.active()
        assert active is not None
        live.registry.shadow(bad, expected_sequence=active.sequence)
        wait("the end of its shadow", lambda: live.registry.version(bad).state is not State.SHADOW)
        refused = live.last(LiveTest.SHADOW)
        assert (live.registry.version(bad).state, refused.version, refused.result) == (
            State.REJECTED, bad, Ending.REJECTED,
        )  # fmt: skip
        assert "E of inferiority" in str(refused.reason)
        assert live.active == good

        before = live.samples
        promote(service, bad)
        wait("a rollback", lambda: live.active != bad)
        delay = live.samples - before
        entry, mirror = live.registry.log()[-1], live.last(LiveTest.MIRROR)
        assert (entry.kind, entry.to_version, entry.actor) == (Kind.ROLLBACK, good, "mirror")
        assert (mirror.version, mirror.against, mirror.result) == (good, bad, Ending.ROLLED_BACK)
        assert live.registry.frozen()
    with capsys.disabled():
        print(f"\n{delay} samples until the rollback of a poisoned version: {entry.reason}")


@pytest.mark.soak  # two more processes to start: that a proposal changes nothing is in integration/roles/test_shadow.py
def test_a_version_that_turns_bad_long_after_its_promotion_is_proposed_for_rollback(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    live = Live(service)
    service.start()
    with Shop(service) as shop, running("trainer", service.home / "trainer", live.environment) as trainer:
        wait = partial(until_alive, roles=[trainer])
        good = live.promoted(wait)
        wait("results for it", lambda: live.last(LiveTest.MIRROR).results.losses >= 30)
        before, shop.taste = live.samples, -shop.taste
        wait("the end of the mirror test", lambda: live.last(LiveTest.MIRROR).ended is not None)
        delay, mirror = live.samples - before, live.last(LiveTest.MIRROR)
        assert (mirror.version, mirror.against, mirror.result) == ("v1", good, Ending.PROPOSED)
        assert live.active == good
        proposed = live_tests(live.comparisons, good).rollback_proposed
        assert proposed is not None
        assert (proposed.version, proposed.to) == (good, "v1")
    with capsys.disabled():
        print(f"\n{delay} samples until the proposal, of a version that was better before: {mirror.reason}")
