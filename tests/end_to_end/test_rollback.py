"""Rollback under load: two workers, versions that come and go, and no sample scored by one that had no right to."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import pytest

from storage.progress import decided
from storage.registry import Registry, State
from storage.runs import Runs
from tests.support.eager import DUE_SAMPLES, eager
from tests.support.feeder import Feeder
from tests.support.role import not_ready, page, running, until_alive
from tests.support.rollback import Watch, bare_load_seconds, promote, register
from tests.support.service import Service

pytestmark = pytest.mark.timeout(900)  # two minutes on an idle machine; several processes start meanwhile

FEW_AND_FIFTY = [pytest.param(4, id="few"), pytest.param(50, id="fifty", marks=pytest.mark.soak)]


@pytest.mark.parametrize("rollbacks", FEW_AND_FIFTY)
def test_rollbacks_under_load_walk_back_and_no_sample_is_scored_by_a_wrong_version(
    service: Service, rollbacks: int, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry(service.engine)
    newer = [register(service, seed) for seed in (2, 3, 4)]
    with Feeder(service.kafka, service.topic, per_second=200):
        watch = Watch(service, [service.start(), service.start()])
        service.until("work for both", lambda: all(worker.partitions for worker in service.workers))
        service.until("samples of both", lambda: len(service.next) == 2)
        for expected in islice(there_and_back(watch, newer), rollbacks):
            assert watch.rollback().to_version == expected
            active = registry.active()
            assert active is not None
            assert (active.version, active.frozen) == (expected, True)
    assert watch.check_every_score() > 100 * rollbacks
    with capsys.disabled():
        print(f"\n{watch.table(bare_load_seconds(service, newer[0]))}")


def test_a_rollback_wins_over_a_fine_tune_under_way_and_the_freeze_holds_until_it_is_lifted(service: Service) -> None:
    registry, runs = Registry(service.engine), Runs(service.engine)
    service.start()
    with (
        Feeder(service.kafka, service.topic, per_second=50),
        running("trainer", service.home, eager(service)) as trainer,
    ):
        wait = partial(until_alive, roles=[trainer])
        wait("samples to train on", lambda: decided(service.engine).samples > 300)
        promote(service, register(service, seed=2))
        registry.unfreeze(actor="test", reason="learn")
        wait("a fine-tune", lambda: any(run.ended is None for run in runs.latest()))
        back = registry.rollback(None, actor="test", reason="looks wrong")
        wait("its end", lambda: runs.latest()[0].ended is not None)
        (run,) = runs.latest()
        assert run.result == "superseded"
        # A rollback between two steps leaves no candidate; one that comes after the last step leaves it rejected.
        assert run.candidate is None or registry.version(run.candidate).state is State.REJECTED

        begun = decided(service.engine).samples
        wait("far more than is due", lambda: decided(service.engine).samples > begun + 10 * DUE_SAMPLES)
        assert registry.log()[-1] == back
        assert runs.latest() == [run]
        service.weir("models", "unfreeze", "--reason", "mended")
        wait("a fine-tune again", lambda: runs.latest() != [run])


def test_an_announcement_wakes_an_api_that_looks_every_ten_minutes(service: Service) -> None:
    newer = register(service, seed=2)
    environment = service.environment | {"WEIR_API_PORT": "0", "WEIR_MODELS_POLL_SECONDS": "600"}
    with running("api", service.home, environment) as api:
        wait = partial(until_alive, roles=[api])
        wait("version 1", lambda: page(api) is not None and not not_ready(api))
        promote(service, newer)
        wait("the newer version", lambda: api.said("model swapped")[-1]["version"] == newer)


def there_and_back(watch: Watch, newer: list[str]) -> Iterator[str]:
    """Promote all above v1, then say where each of the rollbacks leads that undo them; again and again."""
    while True:
        for version in newer:
            watch.promote(version)
        yield from reversed(["v1", *newer[:-1]])
