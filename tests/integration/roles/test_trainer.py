"""The trainer's looks over a real registry, pool and store: what becomes of runs that end in every way."""

import errno
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import fsspec
import pytest
import sqlalchemy as sa
from fsspec.implementations.local import LocalFileSystem

from importance.control_arm import Compared
from importance.errors import Unavailable
from importance.sample import Action
from importance.strata import STRATA
from monitoring.metrics import DependencyMetrics, TrainerMetrics, WorkerMetrics, new_registry
from storage.buffer import Buffer
from storage.control_arm import ControlArm
from storage.lock import TrainerLock
from storage.registry import Entry, Registry
from storage.requests import Requests
from storage.runs import LEARNED, RunResult, Runs
from storage.training_decisions import TrainingDecisions
from tests.conftest import TestPostgres
from tests.integration.roles.test_serving import World
from tests.support.storage import TOPIC, Owner, end_holders_of_advisory_locks, offer
from tests.support.waiting import until
from trainer.triggers.simulation import simulate
from weir.learning.decisions import decided, ran
from weir.learning.loop import LearningLoop
from weir.roles.reporting import Reporting
from weir.settings.training import trigger


class Refusing(LocalFileSystem):
    """A store of local files that becomes read-only."""

    protocol = "refusing"
    refuses = False

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if self.refuses and "w" in mode:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return super()._open(path, mode, **options)


fsspec.register_implementation("refusing", Refusing, clobber=True)


class TrainerWorld(World):
    """A world with samples in its buffer, and a trainer that is due whenever it polls.

    Of the 60 samples that may train, half were shown for certain and half with a chance of a quarter.
    """

    def __init__(self, database_url: str, home: Path, **settings: object) -> None:
        stored = {"artifacts_url": settings.pop("artifacts_url")} if "artifacts_url" in settings else {}
        super().__init__(database_url, home, **stored)
        self.settings = self.settings.model_copy(
            update={"train_least_samples": 10, "train_steps": 2, "train_cooldown_seconds": 0.0, "train_batch": 8}
            | settings
        )
        self.runs, self.requests = Runs(self.engine), Requests(self.engine)
        self.metrics = new_registry()
        self.lock = TrainerLock(self.engine)
        offers = [
            offer(
                f"i{number}",
                float(number),
                STRATA[number % len(STRATA)],
                actions=int(Action.CLICK if number % 8 == 0 else Action.NONE),
                subject=f"subject {number}",
                position=1,
                propensity=1.0 if number < 40 else 0.25,
            )
            for number in range(80)
        ]
        self.owner = Owner(self.engine, Buffer(self.engine, dict.fromkeys(STRATA, 100), TOPIC))
        self.owner.flush(offers)
        self.reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(new_registry(), ()))
        self.announced: list[Entry] = []
        self.trainer_metrics = TrainerMetrics(self.metrics)
        self.trainer = self.new_trainer(self.lock, self.trainer_metrics)

    def new_trainer(self, lock: TrainerLock, metrics: TrainerMetrics) -> LearningLoop:
        """One more trainer of this world."""
        return LearningLoop(self.settings, self.engine, lock, metrics, self.reporting, Event(), self.announced.append)

    def pass_cooldown(self) -> None:
        """Let the last run have ended long ago."""
        with self.engine.begin() as connection:
            connection.execute(sa.text("UPDATE training_runs SET ended = ended - interval '1 hour'"))

    def ended(self, result: str) -> float | None:
        """What the metric counts of runs that ended so."""
        return self.metrics.get_sample_value("weir_training_runs_total", {"result": result})


@pytest.fixture
def world(postgres: TestPostgres, tmp_path: Path) -> Iterator[TrainerWorld]:
    """A world with a database of its own."""
    world = TrainerWorld(postgres.database(), tmp_path)
    yield world
    world.lock.release()
    world.engine.dispose()


def test_a_request_becomes_a_run_whose_candidate_names_what_it_went_on_from(world: TrainerWorld) -> None:
    world.requests.ask("ann")
    world.trainer.poll()
    run = world.runs.last()
    assert run is not None
    assert run.result == "rejected"  # the holdout has fewer samples than the gate needs
    assert run.candidate is not None
    assert world.registry.version(run.candidate).parent == "v1"
    assert not world.requests.waits()
    world.requests.ask("ann")
    world.trainer.poll()
    second = world.runs.last()
    assert second is not None
    assert second.candidate is not None
    assert world.registry.version(second.candidate).parent == run.candidate


def test_an_early_stop_is_recorded_with_its_step_and_reason(postgres: TestPostgres, tmp_path: Path) -> None:
    changed = {"train_steps": 20, "train_validation_steps": 2, "train_patience": 1, "learning_rate": 0.5}
    world = TrainerWorld(postgres.database(), tmp_path, **changed)
    world.requests.ask("ann")
    world.trainer.poll()
    run = world.runs.last()
    assert run is not None
    assert run.candidate is not None
    metrics = world.registry.version(run.candidate).metrics
    assert re.fullmatch(
        r"stopped at step \d+ of 20: 1 validation losses in a row not below .* of step \d+, whose weights were kept",
        metrics["early_stop"],
    )
    assert metrics["validation_loss"] >= 0
    assert run.reasons[1:] == [metrics["early_stop"]]
    judged = re.match(r"holdout has (\d+) samples", metrics["gate"])
    assert judged is not None
    assert 0 < int(judged[1]) < 20, "of the 20 of the holdout some are for validation"
    world.lock.release()
    world.engine.dispose()


def test_a_promotion_is_announced(postgres: TestPostgres, tmp_path: Path) -> None:
    world = TrainerWorld(postgres.database(), tmp_path, gate_least_samples=4, gate_margin=0.99)
    world.requests.ask("ann")
    world.trainer.poll()
    assert [entry.to_version for entry in world.announced] == ["v4"]
    assert world.ended("promoted") == 1
    world.lock.release()
    world.engine.dispose()


@pytest.mark.parametrize(
    ("clip", "worth"),
    [
        pytest.param(1.0, 60, id="off by default"),
        pytest.param(4.0, 60 * 25 / 34, id="half of the rows weigh 4: (1 + 4)² / 2 (1 + 16)"),
        pytest.param(2.0, 60 * 9 / 10, id="clipped to 2: (1 + 2)² / 2 (1 + 4)"),
    ],
)
def test_the_propensity_that_came_with_an_event_weighs_in_training(
    postgres: TestPostgres, tmp_path: Path, clip: float, worth: float
) -> None:
    world = TrainerWorld(postgres.database(), tmp_path, propensity_clip=clip)
    world.requests.ask("ann")
    world.trainer.poll()
    assert world.metrics.get_sample_value("weir_training_rows") == 60
    assert world.metrics.get_sample_value("weir_training_effective_sample_size") == pytest.approx(worth)
    world.lock.release()
    world.engine.dispose()


def test_a_run_that_failed_leaves_its_samples_to_be_learned_and_is_counted(world: TrainerWorld) -> None:
    world.spoil("v1")
    world.requests.ask("ann")
    world.trainer.poll()
    run = world.runs.last()
    assert run is not None
    assert (run.result, run.candidate) == ("failed", None)
    assert world.runs.last(LEARNED) is None
    assert world.ended("failed") == 1
    world.requests.ask("ann")
    world.trainer.poll()  # at once: but what failed is not tried again before a pause
    assert len(world.runs.latest(5)) == 1
    assert world.requests.waits()


def test_a_store_that_takes_no_files_is_named_and_the_run_is_tried_again_when_it_does(postgres: TestPostgres) -> None:
    """The store is a filesystem of fsspec that refuses to write: a read-only folder is writable for root."""
    with TemporaryDirectory() as home:
        world = TrainerWorld(
            postgres.database(), Path(home), artifacts_url=f"refusing://{home}/artifacts", retry_limit_seconds=0.2
        )
        world.requests.ask("ann")
        Refusing.refuses = True
        world.trainer.poll()
        run = world.runs.last()
        assert run is not None
        assert run.result == "failed"
        assert "Read-only file system" in run.reasons[0]
        (reason,) = world.reporting.reasons()
        assert reason.startswith("artifacts: the artifact store refusing://")
        assert world.requests.waits()
        world.pass_cooldown()
        world.trainer.poll()
        assert len(world.runs.latest(5)) == 1  # no run in vain
        Refusing.refuses = False
        world.registry.freeze(actor="ann", reason="holidays")
        until("readiness though no run is due", lambda: world.trainer.poll() and not world.reporting.reasons())
        assert len(world.runs.latest(5)) == 1
        world.registry.unfreeze(actor="ann", reason="back")
        world.trainer.poll()
        again = world.runs.last()
        assert again is not None
        assert (again.trigger, again.result) == ("operator", "rejected")
        assert (world.reporting.reasons(), world.requests.waits()) == ([], False)
        world.lock.release()
        world.engine.dispose()


def test_a_request_survives_a_trainer_that_is_killed_in_its_run(world: TrainerWorld) -> None:
    world.requests.ask("ann")
    world.trainer.poll()
    world.requests.ask("bob")
    world.runs.start("operator", {"samples": 0, "cut": 0})  # and then its trainer is killed
    assert world.requests.waits()
    world.lock.release()
    lock = TrainerLock(world.engine)
    world.new_trainer(lock, TrainerMetrics(new_registry())).poll()
    lock.release()
    assert [run.result for run in world.runs.latest(2)] == [RunResult.ABANDONED, "rejected"]
    world.pass_cooldown()
    world.trainer.poll()
    last = world.runs.last()
    assert last is not None
    assert (last.trigger, last.result) == ("operator", "rejected")
    assert not world.requests.waits()
    world.trainer.poll()
    assert len(world.runs.latest(9)) == 3


def test_a_run_that_an_outage_left_without_an_end_is_ended_at_the_next_look(world: TrainerWorld) -> None:
    world.trainer.poll()
    left = world.runs.start("amount", {"samples": 0, "cut": 0})
    with world.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE buffer_keys RENAME TO hidden"))
    world.requests.ask("ann")
    with pytest.raises(Unavailable, match="lacks tables"):
        world.trainer.poll()
    with world.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE hidden RENAME TO buffer_keys"))
    world.trainer.poll()
    assert {run.id: run.result for run in world.runs.latest(5)}[left] == RunResult.ABANDONED


def test_a_trainer_that_lost_its_right_takes_it_again(world: TrainerWorld) -> None:
    world.trainer.poll()
    end_holders_of_advisory_locks(world.engine)
    with TrainerLock(world.engine) as other:
        assert other.acquire()
        world.trainer.poll()
        assert not world.lock.held()
    try:
        world.trainer.poll()
    except Unavailable:
        world.trainer.poll()
    assert world.lock.held()


def test_the_policy_that_was_live_gives_the_live_runs_when_it_is_simulated(
    postgres: TestPostgres, tmp_path: Path
) -> None:
    world = TrainerWorld(postgres.database(), tmp_path, train_after_samples=100, train_after_mass=150.0)
    decisions, owner = TrainingDecisions(world.engine), world.owner
    policies = partial(trigger, world.settings)
    poll = world.trainer.poll
    poll()  # 80 samples of mass 80: nothing fires
    owner.flush([offer(f"j{number}", 1.0, "negative") for number in range(60)])
    poll()  # 140 samples
    world.requests.ask("ann")
    poll()
    owner.flush([offer(f"k{number}", 1.0, "negative") for number in range(20)], mass=200.0)
    poll()
    other = world.new_trainer(world.lock, TrainerMetrics(new_registry()))  # one that takes over continues the record
    owner.flush([offer(f"l{number}", 1.0, "negative") for number in range(150)])
    other.poll()
    recorded = decisions.latest(100)[::-1]
    live = [(each.time, each.trigger) for each in recorded if each.trigger]
    assert [trigger for _, trigger in live] == ["amount", "operator", "mass", "amount"]
    ended = [ran(run) for run in world.runs.latest(100)[::-1]]
    found = list(simulate([decided(each) for each in recorded], ended, policies))
    assert [(each.time, each.trigger) for each in found] == live
    assert [each.seconds for each in found] == [each.ended - each.started for each in ended]
    rarely = partial(trigger, world.settings.model_copy(update={"train_after_samples": 150, "train_after_mass": None}))
    assert [each.trigger for each in simulate([decided(each) for each in recorded], ended, rarely)] == [
        "operator", "amount",
    ]  # fmt: skip
    world.lock.release()
    world.engine.dispose()


def test_decisions_are_recorded_when_they_change_and_not_at_every_poll(world: TrainerWorld) -> None:
    for _ in range(3):
        world.trainer.poll()
    operations = Registry(world.engine)
    operations.freeze(actor="ann", reason="a sale")
    for _ in range(3):
        world.trainer.poll()
    operations.unfreeze(actor="ann", reason="over")
    world.trainer.poll()
    assert [each.held_back for each in TrainingDecisions(world.engine).latest(100)] == [None, "frozen", None]


def test_a_right_that_was_lost_between_two_polls_may_have_left_a_run_of_another_trainer(world: TrainerWorld) -> None:
    world.trainer.poll()
    end_holders_of_advisory_locks(world.engine)
    left = world.runs.start("amount", {"samples": 0, "cut": 0})  # and the other died
    world.trainer.poll()
    assert {run.id: run.result for run in world.runs.latest(5)}[left] == RunResult.ABANDONED


def test_a_run_that_could_not_be_stored_is_held_back_by_name(postgres: TestPostgres, tmp_path: Path) -> None:
    Refusing.refuses = False
    world = TrainerWorld(postgres.database(), tmp_path, artifacts_url=f"refusing://{tmp_path}/store")
    Refusing.refuses = True
    try:
        world.requests.ask("ann")
        world.trainer.poll()  # fails to store
        world.pass_cooldown()
        world.trainer.poll()
        assert TrainingDecisions(world.engine).latest(1)[0].held_back == "artifact store"
    finally:
        Refusing.refuses = False
        world.lock.release()
        world.engine.dispose()


def test_every_second_run_makes_both_arms_and_selection_that_hurts_falls_back_and_returns(
    postgres: TestPostgres, tmp_path: Path
) -> None:
    world = TrainerWorld(postgres.database(), tmp_path, control_every=2)
    arm = ControlArm(world.engine)

    def train() -> None:
        world.requests.ask("ann")
        world.pass_cooldown()
        world.trainer.poll()

    train()
    assert not arm.all()
    train()
    (made,) = arm.all()
    assert (made.run, made.uniform_only) == (2, False)
    for difference in (-0.1, -0.1, -0.1, -0.1):  # as if it had hurt in runs since
        arm.add(world.runs.start("operator", {}), Compared(difference, 0.001), uniform_only=False)
    assert world.metrics.get_sample_value("weir_training_rows") == 60
    train()
    assert world.metrics.get_sample_value("weir_training_rows") == 20  # the uniform stratum
    train()
    assert arm.all()[-1].uniform_only
    for _ in range(3):
        arm.add(world.runs.start("operator", {}), Compared(0.1, 0.001), uniform_only=True)
    train()
    assert world.metrics.get_sample_value("weir_training_rows") == 60
    world.lock.release()
    world.engine.dispose()
