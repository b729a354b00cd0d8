"""Training on a disk that is full: a small file system that really takes no more bytes."""

import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.registry import State
from tests.conftest import TestPostgres
from tests.integration.roles.test_resumption import SETTINGS, At, Mortal
from tests.support.waiting import until
from trainer.device import use_threads
from weir.learning.loop import LearningLoop

_SIZE = "24m"
_BLOCK = bytes(1 << 12)


@dataclass(frozen=True)
class SmallDisk:
    """A file system of its own, at ``path``."""

    path: Path

    @property
    def _filler(self) -> Path:
        return self.path / "filler"

    def fill(self, spare_bytes: int = 0) -> None:
        """Write until nothing more fits, and leave so many bytes."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(_BLOCK)
            except OSError:
                file.truncate(max(0, file.tell() - spare_bytes))

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system in memory; only a user who may mount one can run these tests."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("a disk of a few megabytes needs the program mount")
    if done.returncode:
        pytest.skip(f"a disk of a few megabytes cannot be mounted by this user: {done.stderr.strip()}")
    yield SmallDisk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def stored_there(postgres: TestPostgres, disk: SmallDisk, tmp_path: Path) -> Iterator[Mortal]:
    """A world whose artifact store lies on the small disk; it is probed again at once."""
    yield from _world(postgres, tmp_path, artifacts_url=str(disk.path / "artifacts"))


@pytest.fixture
def scratch_there(
    postgres: TestPostgres, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Mortal]:
    """A world whose temporary files lie on the small disk."""
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    yield from _world(postgres, tmp_path)


def _world(postgres: TestPostgres, home: Path, **settings: object) -> Iterator[Mortal]:
    use_threads(1)
    world = Mortal(postgres.database(), home, retry_limit_seconds=0.01, **SETTINGS | {"train_steps": 12} | settings)
    yield world
    world.lock.release()
    world.engine.dispose()


def _train(world: Mortal, step: int, act: Callable[[], object]) -> LearningLoop:
    world.requests.ask("ann")
    trainer = world.trainer_until(At(step, act))
    trainer.poll()
    return trainer


def _nothing_but_versions(world: Mortal) -> bool:
    named = {version.artifact for version in world.registry.versions()}
    return {path.name for path in Path(world.settings.artifacts_url).iterdir()} - {"runs"} == named


def _check_that_it_failed_and_the_next_run_does_not(world: Mortal, disk: SmallDisk, trainer: LearningLoop) -> None:
    """The run of the last poll failed for want of space; the serving version is whole, and with space the next ends."""
    run, active = world.run(), world.registry.active()
    assert run.result == "failed"
    assert "No space left on device" in run.reasons[0]
    assert "free space" in run.reasons[0]
    assert active is not None
    assert active.version == "v1"
    world.artifacts.check(active.artifact, active.sha256)
    assert world.requests.waits(), "nothing was learned of its rows"
    disk.free()
    until("the next run", lambda: trainer.poll() and world.run().id > run.id)
    assert (world.run().result, world.candidate().state, world.reporting.reasons()) == ("promoted", State.ACTIVE, [])
    assert world.checkpoints() == []
    assert _nothing_but_versions(world)


@pytest.mark.parametrize("spare_bytes", [0, 100_000], ids=["nothing fits", "a part of the version fits"])
def test_a_store_that_is_full_ends_the_run_with_its_reason(
    stored_there: Mortal, disk: SmallDisk, spare_bytes: int
) -> None:
    trainer = _train(stored_there, 5, lambda: disk.fill(spare_bytes))
    assert _nothing_but_versions(stored_there), "what was half written takes the space that others need"
    _check_that_it_failed_and_the_next_run_does_not(stored_there, disk, trainer)


def test_a_full_disk_of_temporary_files_ends_the_run_with_its_reason(scratch_there: Mortal, disk: SmallDisk) -> None:
    trainer = _train(scratch_there, 5, disk.fill)
    _check_that_it_failed_and_the_next_run_does_not(scratch_there, disk, trainer)


def test_a_disk_of_temporary_files_that_is_full_at_the_start_ends_the_run(
    scratch_there: Mortal, disk: SmallDisk
) -> None:
    scratch_there.requests.ask("ann")
    disk.fill()
    scratch_there.trainer.poll()
    _check_that_it_failed_and_the_next_run_does_not(scratch_there, disk, scratch_there.trainer)


@pytest.mark.parametrize("full", ["stored_there", "scratch_there"])
def test_a_disk_that_is_full_during_checkpoints_does_not_end_the_run(
    full: str, disk: SmallDisk, request: pytest.FixtureRequest
) -> None:
    world: Mortal = request.getfixturevalue(full)

    class BetweenSteps(At):
        asked = 0

        def is_set(self) -> bool:
            self.asked += 1
            if self.asked == 5:
                disk.fill()
            if self.asked == 9:
                disk.free()
            return False

    world.requests.ask("ann")
    world.trainer_until(BetweenSteps(0)).poll()
    assert (world.run().result, world.checkpoints()) == ("promoted", [])


@pytest.mark.parametrize("full", ["stored_there", "scratch_there"])
def test_a_run_that_another_trainer_left_waits_for_space(
    full: str, disk: SmallDisk, request: pytest.FixtureRequest
) -> None:
    world: Mortal = request.getfixturevalue(full)
    world.lose_the_right(step=5)
    disk.fill()
    trainer = world.trainer_until(At(0))
    for _ in range(5):
        trainer.poll()
        assert (world.run().id, world.run().ended) == (1, None)
        assert "No space left on device" in world.reporting.reasons()[0]
    disk.free()
    until("its end", lambda: trainer.poll() and world.run().ended is not None)
    assert (world.run().id, world.run().result, world.reporting.reasons()) == (1, "promoted", [])
