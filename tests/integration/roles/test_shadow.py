"""A candidate in shadow, the mirror test after its promotion, and the rollback, over a real registry and real files."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any, ClassVar

import fsspec
import pytest
import torch
from fsspec.implementations.local import LocalFileSystem
from structlog.testing import capture_logs

from importance.mixture import parse
from importance.scores import MIRROR, SHADOW
from importance.shadow import Pair
from storage.artifacts import MANIFEST
from storage.comparisons import Comparisons, Ending, LiveTest
from storage.training_decisions import TrainingDecisions
from tests.conftest import TestPostgres
from tests.integration.roles.test_serving import SHOP
from tests.integration.roles.test_trainer import TrainerWorld
from tests.support.waiting import until
from trainer.scorer import Choose, Scorer, ScoringConfig
from weir.learning.loop import LearningLoop
from weir.roles.comparing import Comparing

PERMISSIVE = {"gate_least_samples": 4, "gate_margin": 0.99, "shadow": "on", "shadow_promote_by": "superiority"}

FULL = "CUDA out of memory"


class Meanwhile(LocalFileSystem):
    """A store in which something happens while a version is stored."""

    protocol = "meanwhile"
    calls: ClassVar[list[Callable[[], None]]] = []

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if "w" in mode and path.endswith(MANIFEST) and self.calls:
            self.calls.pop()()
        return super()._open(path, mode, **options)


fsspec.register_implementation("meanwhile", Meanwhile, clobber=True)


class Exhausted(Scorer):
    """A scorer whose accelerator has no memory left while ``refused`` is a list; it names what was refused."""

    refused: list[str] | None = None

    def compare(
        self, predictor: str, version: str, directory: Path | Callable[[], Path], choose: Choose | None = None
    ) -> None:
        if self.refused is not None:
            self.refused.append(version)
            raise torch.OutOfMemoryError(FULL)
        super().compare(predictor, version, directory, choose)


class ShadowWorld(TrainerWorld):
    """A trainer whose candidates all pass the gate, and the scorer of a worker that follows it."""

    def __init__(self, database_url: str, home: Path, **settings: object) -> None:
        super().__init__(database_url, home, **PERMISSIVE | settings)
        self.worker = self.serving()
        self.worker.start()
        self.comparing = self.comparing_by(self.worker.scorer, 60.0)

    def comparing_by(self, scorer: Scorer, retry_seconds: float) -> Comparing:
        """What loads the compared versions into a scorer."""
        return Comparing(
            Comparisons(self.engine),
            self.registry,
            self.artifacts,
            scorer,
            {LiveTest.SHADOW: 1.0, LiveTest.MIRROR: 1.0},
            "salt",
            retry_seconds,
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
    assert TrainingDecisions(world.engine).latest(1)[0].held_back == "shadow"
    assert (world.reporting.training() or {})["waits"]["in_shadow"]
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
    assert world.registry.version(str(requested.candidate)).state == "rejected"  # it was learned from a bad version


def test_the_rollback_is_carried_out_where_that_is_set(make: Callable[..., ShadowWorld]) -> None:
    world = make(auto_rollback="on")
    world.promote("v2")
    world.results(MIRROR, "v1", "v2", dict.fromkeys(range(12), 1))
    world.poll()
    entry = world.registry.log()[-1]
    assert (entry.kind, entry.to_version, entry.actor) == ("rollback", "v1", "mirror")
    assert world.registry.frozen()


def test_a_mirror_test_that_is_decided_during_a_fine_tune_keeps_its_candidate_from_use(
    make: Callable[..., ShadowWorld], tmp_path: Path
) -> None:
    world = make(auto_rollback="on", artifacts_url=f"meanwhile://{tmp_path}/artifacts")
    world.promote("v2")
    Meanwhile.calls = [lambda: world.results(MIRROR, "v1", "v2", dict.fromkeys(range(12), 1))]
    candidate = world.learn()
    run = world.runs.last()
    assert run is not None
    assert (run.result, world.registry.version(candidate).state) == ("superseded", "rejected")
    assert "E that it was better" in run.reasons[0]
    world.trainer.poll()
    assert (world.registry.log()[-1].kind, world.registry.log()[-1].to_version) == ("rollback", "v1")


def test_a_mirror_test_that_a_fine_tune_has_found_bad_keeps_its_candidate_from_use(
    make: Callable[..., ShadowWorld], tmp_path: Path
) -> None:
    world = make(artifacts_url=f"meanwhile://{tmp_path}/artifacts")
    world.promote("v2")

    def propose() -> None:
        (mirror,) = Comparisons(world.engine).running()
        Comparisons(world.engine).end(mirror.id, Ending.PROPOSED, "v1 was better")

    Meanwhile.calls = [propose]
    candidate = world.learn()
    run = world.runs.last()
    assert run is not None
    assert (run.result, run.reasons, world.registry.version(candidate).state) == (
        "superseded", ["v1 was better"], "rejected",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("auto_rollback", "active", "reason"),
    [("on", ("v1", True), "rollback by mirror before the fine-tune ended: against"), ("off", ("v2", False), "against")],
)
def test_a_bad_version_is_found_between_two_steps_and_its_fine_tune_ends(
    make: Callable[..., ShadowWorld], auto_rollback: str, active: tuple[str, bool], reason: str
) -> None:
    world = make(auto_rollback=auto_rollback, train_steps=100_000, train_checkpoint_steps=0)
    world.promote("v2")
    world.requests.ask("ann")
    stop = Event()
    trainer = LearningLoop(
        world.settings, world.engine, world.lock, world.trainer_metrics, world.reporting, stop, world.announced.append
    )
    with ThreadPoolExecutor() as threads:
        polling = threads.submit(trainer.poll)
        try:
            until("a run", lambda: bool(world.runs.left()))
            world.results(MIRROR, "v1", "v2", dict.fromkeys(range(12), 1))
            until("its end", lambda: not world.runs.left())
        finally:
            stop.set()
        polling.result()
    run, found = world.runs.last(), world.registry.active()
    assert run is not None
    assert found is not None
    assert (run.result, run.candidate, (found.version, found.frozen)) == ("superseded", None, active)
    assert run.reasons[0].startswith(reason)


def test_damaged_files_of_the_version_before_are_reported_with_the_remedy(make: Callable[..., ShadowWorld]) -> None:
    world = make(shadow="off")
    world.promote("v2")
    world.results(MIRROR, "v1", "v2", dict.fromkeys(range(12), 1))
    world.poll()
    world.spoil("v1")
    world.requests.ask("ann")
    world.poll()
    run = world.runs.last()
    assert run is not None
    assert run.result == "failed"
    assert "fine-tunes start from version v1 because a rollback of v2 is proposed" in run.reasons[0]
    assert "'weir models promote VERSION'" in run.reasons[0]
    world.promote("v3")
    world.pass_cooldown()
    assert world.registry.version(world.learn()).parent == "v3"


def test_while_a_rollback_is_proposed_training_starts_from_the_version_before(
    make: Callable[..., ShadowWorld],
) -> None:
    world = make(shadow="off")
    world.promote("v2")
    world.results(MIRROR, "v1", "v2", dict.fromkeys(range(12), 1))
    world.poll()
    assert Comparisons(world.engine).proposal("v2") is not None
    candidate = world.learn()
    active = world.registry.active()
    assert active is not None
    assert (active.version, world.registry.version(candidate).parent) == (candidate, "v1")
    mirror = Comparisons(world.engine).last(LiveTest.MIRROR)
    assert mirror is not None
    assert (mirror.version, mirror.against, mirror.ended) == ("v2", candidate, None)
    world.pass_cooldown()
    assert world.registry.version(world.learn()).parent == candidate


def test_while_a_rollback_is_proposed_no_rejected_candidate_is_continued(make: Callable[..., ShadowWorld]) -> None:
    world = make(shadow="off", gate_least_samples=10_000)
    world.promote("v2")
    of_the_bad_one = world.learn()
    world.results(MIRROR, "v1", "v2", dict.fromkeys(range(12), 1))
    world.poll()
    parents = []
    for _ in range(2):
        world.pass_cooldown()
        parents.append(world.registry.version(world.learn()).parent)
    assert (world.registry.version(of_the_bad_one).parent, parents) == ("v2", ["v1", "v1"])


def test_a_version_that_cannot_be_loaded_stops_nothing_but_the_one_before_it(make: Callable[..., ShadowWorld]) -> None:
    world = make()
    world.promote("v2")
    scorer = Exhausted(ScoringConfig(parse("uniform")), torch.device("cpu"))
    world.comparing_by(scorer, 60.0).poll()
    assert scorer.compared == {MIRROR: "v1"}
    world.promote("v1")
    active = world.registry.active()
    assert active is not None
    world.registry.shadow("v3", expected_sequence=active.sequence)
    scorer.refused = []
    patient, eager = world.comparing_by(scorer, 60.0), world.comparing_by(scorer, 0.0)
    for _ in range(3):
        patient.poll()
    assert (scorer.compared, scorer.refused) == ({}, ["v3", "v2"])
    with capture_logs() as lines:
        for _ in range(3):
            eager.poll()
    assert [(line["version"], line["reason"]) for line in lines] == [("v3", FULL), ("v2", FULL)]
    assert len(scorer.refused) == 8
    scorer.refused = None
    eager.poll()
    assert scorer.compared == {SHADOW: "v3", MIRROR: "v2"}


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
