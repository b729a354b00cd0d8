"""Rollbacks when everything happens at once: two workers, two apis and a trainer, and one active version everywhere."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from importance.errors import Unavailable
from storage.quarantine import Quarantine
from storage.registry import Entry, Registry, State, walk_back
from storage.runs import Runs
from tests.conftest import TestPostgres
from tests.support.eager import eager
from tests.support.feeder import Feeder
from tests.support.role import RoleProcess, page, running, until_alive
from tests.support.rollback import Watch, bare_load_seconds, register
from tests.support.service import Service
from tests.support.waiting import until


@pytest.mark.soak
def test_one_version_is_active_everywhere_after_each_rollback(
    mortal: Service, own_postgres: TestPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    service, registry = mortal, Registry(mortal.engine)
    versions = [register(service, seed) for seed in range(2, 9)]
    environment = eager(service) | {
        "WEIR_TRAIN_STEPS": "1500",
        "WEIR_SHADOW": "on",
        "WEIR_SHADOW_LIMIT_RESULTS": "100000",
        "WEIR_API_PORT": "0",
    }
    with (
        Feeder(service.kafka, service.topic, per_second=100),
        running("trainer", service.home / "trainer", environment) as trainer,
        running("api", service.home / "api-1", environment) as first,
        running("api", service.home / "api-2", environment) as second,
    ):
        roles: list[RoleProcess] = [trainer, first, second]
        wait = partial(until_alive, roles=roles)
        watch = Watch(service, [service.start(), service.start(), first, second])
        wait("samples of both, and apis that serve", lambda: len(service.next) == 2 and all(map(page, (first, second))))
        for version in versions:
            watch.promote(version)
        expected = iter([*versions[-2::-1], "v1"])

        def check(entry: Entry) -> None:
            assert entry.to_version == next(expected)
            active = registry.active()
            assert active is not None
            assert (active.version, active.frozen) == (entry.to_version, True)

        _during_a_fine_tune(service, watch, wait, check)
        _during_shadow(service, watch, wait, check)
        check(watch.rollback())  # twice in a row
        check(watch.rollback())
        _to_a_missing_file(service, watch, check, next(expected))
        _while_postgres_starts_again(service, watch, own_postgres, check)
        wait("every sample to be scored by a trusted version", lambda: not _distrusted(service))
    assert watch.check_every_score() > 100
    with capsys.disabled():
        print(f"\n{watch.table(bare_load_seconds(service, versions[0]))}")
        for each in Quarantine(service.engine).standing():
            print(f"{each.version}: {each.rescored} samples scored again")


Wait = Callable[[str, Callable[[], bool]], None]
Check = Callable[[Entry], None]


def _during_a_fine_tune(service: Service, watch: Watch, wait: Wait, check: Check) -> None:
    runs = Runs(service.engine)
    Registry(service.engine).unfreeze(actor="test", reason="learn")
    wait("a fine-tune", lambda: any(run.ended is None for run in runs.latest()))
    check(watch.rollback())
    wait("its end", lambda: runs.latest()[0].ended is not None)
    assert runs.latest()[0].result == "superseded"


def _during_shadow(service: Service, watch: Watch, wait: Wait, check: Check) -> None:
    registry = Registry(service.engine)
    registry.unfreeze(actor="test", reason="learn")
    wait("a candidate in shadow", lambda: State.SHADOW in {each.state for each in registry.versions()})
    check(watch.rollback())
    wait("the end of shadow", lambda: State.SHADOW not in {each.state for each in registry.versions()})


def _to_a_missing_file(service: Service, watch: Watch, check: Check, missing: str) -> None:
    """The target's files are gone: nothing changes, the error names the next intact version, and that one serves."""
    registry = Registry(service.engine)
    below = registry.log()[-1]
    shutil.rmtree(Path(service.settings.artifacts_url) / registry.version(missing).artifact)
    with pytest.raises(AssertionError, match=rf"version {missing} cannot be served.*roll back to"):
        service.weir("models", "rollback", "--reason", "looks wrong")
    assert registry.log()[-1] == below
    check(watch.rollback("--to", _next_below(registry, missing)))


def _next_below(registry: Registry, version: str) -> str:
    below = walk_back(registry.log())
    return below[below.index(version) - 1]


def _while_postgres_starts_again(service: Service, watch: Watch, postgres: TestPostgres, check: Check) -> None:
    """Postgres is killed and started: the command is repeated until it is carried out."""
    postgres.kill()
    with pytest.raises(AssertionError):
        service.weir("models", "rollback", "--reason", "looks wrong")
    postgres.start()

    def answers() -> bool:
        try:
            return Registry(service.engine).active() is not None
        except Unavailable:
            return False

    until("the database", answers)
    check(watch.rollback())


def _distrusted(service: Service) -> dict[str, int]:
    return Quarantine(service.engine).rows()
