"""Trainers that die in the middle of a run, over a real registry, buffer and store."""

import errno
import os
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa

from importance.sample import Action
from importance.strata import HOLDOUT
from monitoring.metrics import TrainerMetrics, new_registry
from storage.audit import Author, Via
from storage.buffer_reader import BufferReader
from storage.comparisons import Comparisons, Ending
from storage.erasure import Erasure
from storage.lock import TrainerLock
from storage.registry import Version
from storage.runs import Run
from tests.conftest import TestPostgres
from tests.integration.roles.test_trainer import Refusing, TrainerWorld
from tests.support.storage import end_holders_of_advisory_locks, offer
from tests.support.waiting import until
from tests.unit.trainer.tuning.cases import parameters, same
from trainer import version_directory as versions
from trainer.device import use_threads
from trainer.labelled import Labelled
from trainer.tuning import TrainingRows, fine_tune
from trainer.version_directory import Model
from weir.learning.loop import LearningLoop
from weir.learning.recovery import MAX_REFUSED, MAX_RESUMED
from weir.learning.validation import divide
from weir.learning.weights import row_weights
from weir.settings import Settings
from weir.settings.training import tuning
from weir.settings.values import pseudonyms

SETTINGS = {"train_steps": 60, "train_checkpoint_steps": 1, "threads": 1, "gate_least_samples": 4}


class At(Event):
    """Asked for the ``step``-th time, between two steps, it does something once; by default it is set then."""

    def __init__(self, step: int, act: Callable[[], object] | None = None) -> None:
        super().__init__()
        self._left, self._act = step, act or self.set

    def is_set(self) -> bool:
        self._left -= 1
        if self._left == 0:
            self._act()
        return super().is_set()


def _fails(number: int) -> Callable[[], None]:
    def fail() -> None:
        raise OSError(number, os.strerror(number))

    return fail


class Mortal(TrainerWorld):
    """A world whose trainers die."""

    def trainer_until(self, stop: Event, lock: TrainerLock | None = None) -> LearningLoop:
        metrics = TrainerMetrics(new_registry())
        return LearningLoop(self.settings, self.engine, lock or self.lock, metrics, self.reporting, stop, print)

    def lose_the_right(self, step: int) -> None:
        """Let a run lose the right to train before a step: it ends as if its trainer had died."""
        self.requests.ask("ann")
        stop = At(step, lambda: end_holders_of_advisory_locks(self.engine))
        with pytest.raises(Exception, match=r"right to train|connection"):
            self.trainer_until(stop).poll()
        (run,) = self.runs.left()
        assert run.checkpoint is not None
        assert run.checkpoint["steps"] == step - 1

    def propose_rollback(self) -> None:
        """Let the mirror test find that the version before was better."""
        comparisons = Comparisons(self.engine)
        (mirror,) = comparisons.running()
        comparisons.end(mirror.id, Ending.PROPOSED, "it was better")

    def run(self) -> Run:
        run = self.runs.last()
        assert run is not None
        return run

    def candidate(self) -> Version:
        candidate = self.run().candidate
        assert candidate is not None
        return self.registry.version(candidate)

    def loaded(self, version: Version) -> Model:
        directory = self.artifacts.fetch(version.artifact, version.sha256, self.settings.home / "fetched")
        return versions.load(directory, with_moments=True)

    def uninterrupted(self, validation: Labelled | None = None) -> Model:
        """The candidate of the first run as it has to be: by one fine-tune, of what is in the buffer."""
        drawn = BufferReader(self.engine).draw()
        weights = row_weights(self.settings, drawn.samples, drawn.probability).values
        rows = TrainingRows(drawn.samples, drawn.label, weights, drawn.stored > 0)
        base = self.loaded(self.registry.version("v1"))
        seed = self.settings.seed + 1
        return fine_tune(base, rows, tuning(self.settings), seed, validation=validation).model

    def checkpoints(self) -> list[Path]:
        return sorted(Path(self.settings.artifacts_url).glob("runs/*"))


@pytest.fixture
def mortal(postgres: TestPostgres, tmp_path: Path) -> Iterator[Mortal]:
    use_threads(1)
    world = Mortal(postgres.database(), tmp_path / "mortal", **SETTINGS)
    yield world
    world.lock.release()
    world.engine.dispose()


def _train(settings: Settings, log: Path) -> None:
    """Be a trainer's process."""
    from weir.roles.trainer import run

    os.dup2(os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2)
    run(settings)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_whose_trainers_are_killed_ends_with_the_same_weights(
    processes: int, postgres: TestPostgres, tmp_path: Path
) -> None:
    """By SIGKILL, and twice; its weights are those of a fine-tune that nothing happened to."""
    use_threads(1)
    url = postgres.database()
    world = Mortal(url, tmp_path / "killed", **SETTINGS | {"train_processes": processes})
    world.requests.ask("ann")
    log = tmp_path / "log"
    settings = world.settings.model_copy(update={"database_url": url, "metrics_port": 0})
    context = get_context("forkserver")
    context.set_forkserver_preload(["weir.roles.trainer"])
    trainers = [context.Process(target=_train, args=(settings, log)) for _ in range(3)]

    def progressed(steps: int, run: Run | None) -> bool:
        assert run is None or run.ended is None, "it ended before it could be killed"
        return run is not None and run.checkpoint is not None and run.checkpoint["steps"] >= steps

    for trainer, steps in zip(trainers, (2, 12), strict=False):
        trainer.start()
        until(f"step {steps}", lambda at=steps: progressed(at, world.runs.last()), state=log.read_text)  # type: ignore[misc]
        trainer.kill()
        trainer.join()
    trainers[-1].start()
    until("its end", lambda: world.run().ended is not None, state=log.read_text)
    trainers[-1].terminate()
    trainers[-1].join()
    assert world.run().resumed == 2
    assert world.run().result == "promoted"
    expected, found = world.uninterrupted(), world.loaded(world.candidate())
    assert same(parameters(expected), parameters(found))
    assert expected.moments is not None
    assert found.moments is not None
    assert same(expected.moments, found.moments)
    assert world.checkpoints() == []
    active = world.registry.active()
    assert active is not None
    world.artifacts.check(active.artifact, active.sha256)
    world.engine.dispose()


def test_a_resumed_run_stops_by_the_validation_samples_that_it_started_with(
    postgres: TestPostgres, tmp_path: Path
) -> None:
    world = Mortal(postgres.database(), tmp_path, **SETTINGS, train_validation_steps=2, learning_rate=0.05)
    validation = divide(BufferReader(world.engine).draw((HOLDOUT,)), world.settings.salt)[0]
    expected = world.uninterrupted(Labelled(validation.samples, validation.label))
    world.lose_the_right(step=5)
    late = [
        offer(f"late{number}", 1e6 + number, HOLDOUT, actions=int(Action.CLICK), subject=f"late {number}")
        for number in range(40)
    ]
    world.owner.flush(late)
    world.trainer.poll()
    assert world.run().resumed == 1
    assert "stopped at step" in world.run().reasons[1]
    assert same(parameters(expected), parameters(world.loaded(world.candidate())))
    world.lock.release()
    world.engine.dispose()


def test_a_trainer_that_lost_its_right_records_nothing_and_the_next_one_resumes(mortal: Mortal) -> None:
    mortal.lose_the_right(step=5)
    assert mortal.run().ended is None
    mortal.trainer.poll()
    assert (mortal.run().resumed, mortal.run().result, mortal.candidate().parent) == (1, "promoted", "v1")
    assert mortal.metrics.get_sample_value("weir_training_resumed_total") == 1
    assert mortal.checkpoints() == []
    assert len(mortal.runs.latest(9)) == 1
    assert not mortal.requests.waits()


@pytest.mark.parametrize("kind", ["rows", "4"])
def test_a_damaged_checkpoint_ends_the_run_with_its_reason(mortal: Mortal, kind: str) -> None:
    mortal.lose_the_right(step=5)
    before = mortal.registry.active()
    (directory,) = (path for path in mortal.checkpoints() if path.name.startswith(f"run1-{kind}-"))
    file = next(path for path in directory.iterdir() if path.name != "SHA256SUMS")
    file.write_bytes(file.read_bytes()[:-1])
    mortal.trainer.poll()
    assert mortal.run().result == "failed"
    assert "does not have the sha256 of its manifest" in mortal.run().reasons[0]
    assert mortal.registry.active() == before
    assert mortal.checkpoints() == []
    assert mortal.requests.waits()


def test_a_run_is_not_resumed_once_it_cannot_count(mortal: Mortal) -> None:
    mortal.lose_the_right(step=3)
    mortal.registry.freeze(actor="ann", reason="holidays")
    mortal.trainer.poll()
    assert (mortal.run().result, mortal.run().resumed, mortal.checkpoints()) == ("abandoned", 0, [])
    assert mortal.requests.waits(), "nothing was learned of its rows"


def test_a_run_is_not_resumed_on_rows_that_were_erased(mortal: Mortal) -> None:
    mortal.lose_the_right(step=3)
    Erasure(mortal.engine, pseudonyms(mortal.settings)).erase("subject 1", Author("officer", Via.CLI))
    mortal.trainer.poll()
    assert (mortal.run().result, mortal.checkpoints(), mortal.requests.waits()) == ("abandoned", [], True)
    assert "were erased before it was resumed" in mortal.run().reasons[0]


def test_other_settings_do_not_continue_what_was_started_with_these(mortal: Mortal) -> None:
    mortal.lose_the_right(step=3)
    mortal.settings = mortal.settings.model_copy(update={"learning_rate": 0.01})
    mortal.trainer_until(Event()).poll()
    assert (mortal.run().result, mortal.run().reasons) == (
        "failed", ["the configuration of training, or what it starts from, changed before it was resumed"],
    )  # fmt: skip


def test_a_run_is_not_resumed_once_a_rollback_of_what_it_started_from_is_proposed(mortal: Mortal) -> None:
    mortal.promote("v2")
    mortal.lose_the_right(step=3)
    mortal.propose_rollback()
    mortal.trainer.poll()
    assert (mortal.run().result, mortal.run().reasons, mortal.requests.waits()) == (
        "abandoned",
        ["a rollback of v2 was proposed before it was resumed: the next run starts from v1"],
        True,
    )
    mortal.pass_cooldown()
    mortal.trainer.poll()
    assert (mortal.run().id, mortal.candidate().parent) == (2, "v1")


def test_a_run_that_started_from_the_version_before_is_resumed(mortal: Mortal) -> None:
    mortal.promote("v2")
    mortal.propose_rollback()
    mortal.lose_the_right(step=3)
    mortal.trainer.poll()
    assert (mortal.run().result, mortal.run().resumed, mortal.candidate().parent) == ("promoted", 1, "v1")


def test_what_no_weight_depends_on_may_change_before_it_is_resumed(mortal: Mortal) -> None:
    mortal.lose_the_right(step=3)
    mortal.settings = mortal.settings.model_copy(update={"control_every": 1})  # so that it makes the other arm too
    mortal.trainer_until(Event()).poll()
    assert (mortal.run().result, mortal.run().resumed) == ("promoted", 1)


def test_a_trainer_that_is_stopped_leaves_its_run_to_the_next_one(mortal: Mortal) -> None:
    mortal.requests.ask("ann")
    mortal.trainer_until(At(5)).poll()
    assert mortal.run().ended is None
    assert mortal.run().checkpoint == (mortal.run().checkpoint or {}) | {"steps": 4, "stops": 1}
    mortal.trainer_until(Event()).poll()
    assert (mortal.run().result, mortal.run().resumed, mortal.requests.waits()) == ("promoted", 1, False)


def test_a_trainer_that_is_stopped_before_its_first_checkpoint_ends_its_run(mortal: Mortal) -> None:
    mortal.requests.ask("ann")
    mortal.trainer_until(At(1)).poll()
    assert (mortal.run().result, mortal.requests.waits()) == ("interrupted", True)


def test_an_error_of_torch_ends_the_run_and_not_the_trainer(mortal: Mortal) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: out of memory\nand much more")

    mortal.requests.ask("ann")
    mortal.trainer_until(At(5, fail)).poll()
    assert (mortal.run().result, mortal.run().reasons) == ("failed", ["CUDA error: out of memory"])


def test_an_error_that_is_not_the_disks_ends_a_resumed_run(mortal: Mortal) -> None:
    mortal.lose_the_right(step=5)
    trainer = mortal.trainer_until(At(1, _fails(errno.EMFILE)))
    trainer.poll()
    assert (mortal.run().result, mortal.run().reasons) == ("failed", ["[Errno 24] Too many open files"])
    assert not any("disk" in reason for reason in mortal.reporting.reasons())
    mortal.pass_cooldown()
    trainer.poll()
    assert (mortal.run().id, mortal.run().result) == (2, "promoted")


def test_a_run_whose_files_are_refused_each_time_is_not_resumed_for_ever(mortal: Mortal) -> None:
    mortal.lose_the_right(step=5)
    for number in range(1, MAX_REFUSED):
        mortal.trainer_until(At(1, _fails(errno.ENOSPC))).poll()
        assert (mortal.run().resumed, mortal.run().ended) == (number, None)
    mortal.trainer_until(At(1, _fails(errno.ENOSPC))).poll()
    assert (mortal.run().resumed, mortal.run().result) == (MAX_REFUSED, "failed")
    assert "the local disk takes no files" in mortal.run().reasons[0]


def test_an_operator_who_decides_about_the_candidate_first_decides_how_its_run_ends(mortal: Mortal) -> None:
    decide = "NEW.state := 'retired'; RETURN NEW"  # as soon as it is registered
    with mortal.engine.begin() as connection:
        connection.execute(sa.text(f"CREATE FUNCTION op() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN {decide}; END$$"))
        connection.execute(
            sa.text("CREATE TRIGGER op BEFORE INSERT ON model_versions FOR EACH ROW EXECUTE FUNCTION op()")
        )
    mortal.requests.ask("ann")
    mortal.trainer_until(Event()).poll()
    assert (mortal.run().result, mortal.candidate().state) == ("promoted", "retired")
    assert mortal.run().reasons[0].endswith("is retired; only a candidate can be rejected")


@pytest.fixture
def refusing(postgres: TestPostgres, tmp_path: Path) -> Iterator[Mortal]:
    """A world whose store refuses files while `Refusing.refuses`, and is probed again at once."""
    store = f"refusing://{tmp_path}/artifacts"
    world = Mortal(postgres.database(), tmp_path, artifacts_url=store, retry_limit_seconds=0.01, **SETTINGS)
    yield world
    Refusing.refuses = False
    world.lock.release()
    world.engine.dispose()


def test_a_store_that_refuses_a_checkpoint_does_not_end_the_run(refusing: Mortal) -> None:
    class BetweenSteps(Event):
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            Refusing.refuses = 5 <= self.asked < 8
            return False

    refusing.requests.ask("ann")
    refusing.trainer_until(BetweenSteps()).poll()
    assert (refusing.run().result, refusing.checkpoints()) == ("promoted", [])


def test_a_run_waits_for_a_store_that_does_not_answer_and_is_resumed_when_it_does(refusing: Mortal) -> None:
    refusing.lose_the_right(step=5)
    assert refusing.lock.acquire()
    with refusing.lock.transaction() as session:  # as if it had died before it decided about its candidate
        refusing.registry.register("made", "a", "b", on=session)
        refusing.runs.propose(1, 0, "made", session)
    refusing.lock.release()
    Refusing.refuses = True
    trainer = refusing.trainer_until(Event())
    for _ in range(MAX_RESUMED + 1):  # that it waited does not count
        trainer.poll()
        assert (refusing.run().id, refusing.run().ended) == (1, None)
        assert refusing.reporting.reasons()
    Refusing.refuses = False
    until("its end", lambda: trainer.poll() and refusing.run().ended is not None)
    assert (refusing.run().id, refusing.run().result, refusing.checkpoints()) == (1, "promoted", [])
    assert (refusing.run().candidate != "made", refusing.registry.version("made").state) == (True, "rejected")


def test_a_store_that_fills_up_ends_the_run_with_its_reason(refusing: Mortal) -> None:
    before = refusing.registry.active()
    refusing.requests.ask("ann")
    refusing.trainer_until(At(5, lambda: setattr(Refusing, "refuses", True))).poll()
    assert refusing.run().result == "failed"
    assert "Read-only file system" in refusing.run().reasons[0]
    assert (refusing.registry.active(), refusing.requests.waits()) == (before, True)
    assert [version.version for version in refusing.registry.versions()] == ["v1", "v2", "v3"]
