"""A candidate in shadow, the mirror test after its promotion, and the rollback, over a real registry and real files."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from importance.scores import MIRROR, SHADOW
from importance.shadow import Pair
from storage.comparisons import Comparisons, Ending, LiveTest
from tests.conftest import TestPostgres
from tests.integration.roles.test_serving import SHOP
from tests.integration.roles.test_trainer import TrainerWorld
from weir.roles.comparing import Comparing

PERMISSIVE = {"gate_least_samples": 4, "gate_margin": 0.99, "shadow": "on", "shadow_promote_by": "superiority"}


class ShadowWorld(TrainerWorld):
    """A trainer whose candidates all pass the gate, and the scorer of a worker that follows it."""

    def __init__(self, database_url: str, home: Path, **settings: object) -> None:
        super().__init__(database_url, home, **PERMISSIVE, **settings)
        self.worker = self.serving()
        self.worker.start()
        self.comparing = Comparing(
            Comparisons(self.engine),
            self.registry,
            self.artifacts,
            self.worker.scorer,
            {LiveTest.SHADOW: 1.0, LiveTest.MIRROR: 1.0},
            "salt",
            retry_seconds=60.0,
        )

    def follow(self) -> dict[str, str]:
        """What a worker predicts by, once it has seen the registry."""
        self.worker.poll()
        self.comparing.poll()
        return self.worker.scorer.compared

    def results(self, test: str, version: str, against: str, gains: dict[int, int]) -> None:
        self.owner.flush(gains={Pair(test, version, against): gains})

    def poll(self) -> None:
        """Let the trainer read the results now; one of its own, as a restart would have it."""
        self.trainer = self.new_trainer(self.lock, self.trainer_metrics)
        self.trainer.poll()

    def learn(self) -> str:
        """Let it learn a candidate; returns its name."""
        self.requests.ask("ann")
        self.poll()
        run = self.runs.last()
        assert run is not None
        assert run.candidate is not None
        return run.candidate


@pytest.fixture
def make(postgres: TestPostgres, tmp_path: Path) -> Iterator[Callable[..., ShadowWorld]]:
    worlds: list[ShadowWorld] = []

    def made(**settings: object) -> ShadowWorld:
        worlds.append(ShadowWorld(postgres.database(), tmp_path, **settings))
        return worlds[-1]

    yield made
    for world in worlds:
        world.lock.release()
        world.engine.dispose()


def test_a_candidate_is_promoted_by_live_traffic_and_proposed_for_rollback_when_it_turns_bad(
    make: Callable[..., ShadowWorld],
) -> None:
    world = make()
    candidate = world.learn()
    assert world.ended("shadow") == 1
    assert world.registry.version(candidate).state == "shadow"
    assert world.follow()[SHADOW] == candidate
    assert world.worker.scorer.score(SHOP).predictions[SHADOW].version == candidate
    world.results(SHADOW, candidate, "v1", {0: 1})
    world.requests.ask("ann")
    world.poll()
    assert len(world.runs.latest(5)) == 1  # no fine-tune while one is in shadow
    world.results(SHADOW, candidate, "v1", dict.fromkeys(range(1, 12), 1))
    world.poll()
    active, requested = world.registry.active(), world.runs.last()
    assert active is not None
    assert active.version == candidate
    assert requested is not None  # what was asked for meanwhile starts now
    assert "12 subjects won, 0 lost" in world.registry.log()[-1].reason
    assert [entry.to_version for entry in world.announced] == [candidate]
    compared = world.follow()
    assert (world.worker.scorer.version, compared[SHADOW], compared[MIRROR]) == (candidate, requested.candidate, "v1")
    world.results(MIRROR, "v1", candidate, dict.fromkeys(range(12), 1))
    with capture_logs() as lines:
        world.poll()
    proposed = [line for line in lines if line["event"] == "rollback proposed"]
    assert [(line["version"], line["to"]) for line in proposed] == [(candidate, "v1")]
    mirror = Comparisons(world.engine).last(LiveTest.MIRROR)
    assert mirror is not None
    assert mirror.result is Ending.PROPOSED
    assert world.registry.active() == active  # proposed only


def test_the_rollback_is_carried_out_where_that_is_set(make: Callable[..., ShadowWorld]) -> None:
    world = make(auto_rollback="on")
    world.promote("v2")
    world.results(MIRROR, "v1", "v2", dict.fromkeys(range(12), 1))
    world.poll()
    entry = world.registry.log()[-1]
    assert (entry.kind, entry.to_version, entry.actor) == ("rollback", "v1", "mirror")
    assert world.registry.frozen()


def test_a_candidate_that_loses_or_takes_too_long_is_rejected_with_the_reason(make: Callable[..., ShadowWorld]) -> None:
    world = make(shadow_limit_results=20)
    candidate = world.learn()
    world.results(SHADOW, candidate, "v1", dict.fromkeys(range(12), -1))
    world.poll()
    assert world.registry.version(candidate).state == "rejected"
    world.pass_cooldown()
    second = world.learn()
    world.results(SHADOW, second, "v1", dict.fromkeys(range(20), 0))
    world.poll()
    assert world.registry.version(second).parent == "v1"
    shadow = Comparisons(world.engine).last(LiveTest.SHADOW)
    assert shadow is not None
    assert (shadow.version, shadow.result) == (second, Ending.REJECTED)
    assert "undecided" in str(shadow.reason)
