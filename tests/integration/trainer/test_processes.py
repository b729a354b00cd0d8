"""A fine-tune in two processes is the one in one, whatever is killed, and no process outlives it."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import psutil
import pytest
import torch

from importance.errors import InvalidInput
from tests.support.waiting import until
from tests.unit.trainer.conftest import labels_of, shop
from tests.unit.trainer.tuning.cases import parameters, same, without_dropout
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, build
from trainer.device import device_of, use_threads
from trainer.labelled import Labelled
from trainer.memory import weights_of
from trainer.tuning import (
    Checkpoints,
    EarlyStop,
    FineTuneFailed,
    FineTuning,
    LoopState,
    Optimisation,
    TrainingRows,
    Tuned,
    fine_tune,
)
from trainer.tuning.methods import method

SAMPLES = shop(120)
LABELS = labels_of(SAMPLES)
STEPS = 8
TWO = FineTuning(STEPS, optimisation=Optimisation(15), processes=2)
"""Batches of 15 do not divide by two."""


@pytest.fixture(scope="module")
def with_dropout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = build(SAMPLES, FirstTraining(vocabulary=120), seed=0)
    return versions.save(model, tmp_path_factory.mktemp("dropout") / "version")


def tuned(version: Path, tuning: FineTuning, checkpoints: Checkpoints | None = None) -> Tuned:
    """The fine-tune that is compared, of rows whose weights differ."""
    rows = TrainingRows(SAMPLES, LABELS, np.linspace(0.2, 1.8, 120), np.arange(120) >= 60)
    model = versions.load(version, with_moments=True)
    return fine_tune(model, rows, tuning, 1, checkpoints=checkpoints, validation=Labelled(SAMPLES, LABELS))


def further() -> list[psutil.Process]:
    """The processes that this one has started for a fine-tune."""
    alive = (one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE)
    return [one for one in alive if "spawn_main" in " ".join(one.cmdline())]


def at_step(wanted: int, act: Callable[[], object]) -> Checkpoints:
    """Act in the middle of a fine-tune."""

    def keep(state: LoopState) -> None:
        if state.steps == wanted:
            act()

    return Checkpoints(1, keep)


def script(code: str, version: Path, directory: Path) -> "subprocess.Popen[str]":
    """A program that makes a fine-tune of its own."""
    file = directory / "program.py"
    file.write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, file, version], stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.parametrize(
    "optimisation",
    [
        Optimisation(15),
        Optimisation(15, method=method("adalora", 4)),
        Optimisation(15, micro_batches=3, average_decay=0.5, early_stop=EarlyStop(2, 2)),
        Optimisation(15, from_start=0.1),
    ],
    ids=["full", "adalora", "micro-batches, averaged, early stop", "L2-SP"],
)
def test_two_processes_are_one_within_rounding(
    optimisation: Optimisation, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    use_threads(1)
    version = versions.save(without_dropout(SAMPLES), tmp_path / "version")
    alone = tuned(version, FineTuning(STEPS, optimisation=optimisation))
    together = tuned(version, FineTuning(STEPS, optimisation=optimisation, processes=2))
    one, two, before = weights_of(alone.model), weights_of(together.model), weights_of(versions.load(version))
    largest = max(float((one[part] - two[part]).abs().max()) for part in one)
    moved = max(float((one[part] - before[part]).abs().max()) for part in one)
    with capsys.disabled():
        print(f"\n{request.node.callspec.id}: largest weight difference of two processes to one {largest:.2g}, "
              f"largest change of a weight {moved:.2g}")  # fmt: skip
    assert largest < 1e-4
    assert moved > 1e-3
    np.testing.assert_array_equal(alone.right, together.right)
    assert not further()


def test_a_fine_tune_of_two_processes_that_is_resumed_ends_with_the_same_weights(with_dropout: Path) -> None:
    left: list[LoopState] = []
    whole = tuned(with_dropout, TWO, Checkpoints(3, left.append))
    assert [state.steps for state in left] == [3, 6]
    resumed = tuned(with_dropout, TWO, Checkpoints(0, left.append, left[0]))
    assert same(parameters(whole.model), parameters(resumed.model))


def test_a_process_that_is_killed_ends_the_fine_tune_with_the_reason(with_dropout: Path) -> None:
    kept: list[LoopState] = []

    def kill() -> None:
        (other,) = further()
        other.kill()

    with pytest.raises(FineTuneFailed, match=r"^process 2 of 2 of the fine-tune ended with exit code -9$"):
        tuned(with_dropout, TWO, at_step(3, kill))
    assert not kept
    assert not further()


def test_a_process_that_cannot_begin_says_why(with_dropout: Path, tmp_path: Path) -> None:
    version = versions.save(versions.load(with_dropout), tmp_path / "version")
    model = versions.load(version)
    (version / "model.safetensors").write_bytes(b"damaged meanwhile")
    rows = TrainingRows(SAMPLES, LABELS, np.ones(120), np.arange(120) >= 60)
    with pytest.raises(FineTuneFailed, match=r"process 2 of 2 of the fine-tune: BadArtifact: .*model.safetensors"):
        fine_tune(model, rows, TWO, 1)
    assert not further()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["version"]


def test_a_process_that_is_killed_while_it_starts_ends_the_fine_tune_with_the_reason(with_dropout: Path) -> None:
    def kill() -> None:
        until("a process", lambda: bool(further()))
        further()[0].kill()

    with ThreadPoolExecutor() as threads:
        killed = threads.submit(kill)
        with pytest.raises(FineTuneFailed, match=r"^process 2 of 2 of the fine-tune ended with exit code -9$"):
            tuned(with_dropout, TWO)
        killed.result()


def test_a_stop_while_they_start_ends_the_fine_tune_before_its_first_step(with_dropout: Path) -> None:
    rows = TrainingRows(SAMPLES, LABELS, np.ones(120), np.arange(120) >= 60)
    told = Event()

    def stop() -> bool:
        if further():
            told.set()
        return told.is_set()

    stopped = fine_tune(versions.load(with_dropout), rows, TWO, 1, stop=stop)
    assert (stopped.steps, stopped.finished) == (0, False)
    assert not further()


SIGNALLED = """
import signal, sys
from pathlib import Path
from tests.integration.trainer import test_processes as t

def signal_others():
    for other in t.further():
        other.send_signal(signal.SIGTERM)
        other.send_signal(signal.SIGINT)

if __name__ == "__main__":
    print(t.tuned(Path(sys.argv[1]), t.TWO, t.at_step(3, signal_others)).steps)
"""


def test_a_signal_to_all_is_for_the_first_process_to_decide_about(with_dropout: Path, tmp_path: Path) -> None:
    """In a fresh interpreter: what the first start of a process does to the signals is done once."""
    with script(SIGNALLED, with_dropout, tmp_path) as first:
        assert first.communicate()[0] == f"{STEPS}\n"


def test_an_error_in_the_first_process_ends_the_others(with_dropout: Path) -> None:
    def fail() -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        tuned(with_dropout, TWO, at_step(3, fail))
    assert not further()


KILLED = {
    "while they start": """
import sys, threading
from pathlib import Path
from tests.integration.trainer import test_processes as t

def report():
    t.until("a process", lambda: bool(t.further()))
    print(t.further()[0].pid, flush=True)

if __name__ == "__main__":
    threading.Thread(target=report).start()
    t.tuned(Path(sys.argv[1]), t.TWO)
""",
    "between two steps": """
import signal, sys
from pathlib import Path
from tests.integration.trainer import test_processes as t

def report():
    print(t.further()[0].pid, flush=True)
    signal.pause()

if __name__ == "__main__":
    t.tuned(Path(sys.argv[1]), t.TWO, t.at_step(3, report))
""",
}


@pytest.mark.parametrize("when", KILLED)
def test_the_others_end_when_the_first_process_is_killed(when: str, with_dropout: Path, tmp_path: Path) -> None:
    with script(KILLED[when], with_dropout, tmp_path) as first:
        assert first.stdout is not None
        other = psutil.Process(int(first.stdout.readline()))
        first.kill()
    until("its end", lambda: not other.is_running() or other.status() == psutil.STATUS_ZOMBIE)


def test_what_was_trained_is_in_no_directory_and_cannot_be_trained_again_by_several(with_dropout: Path) -> None:
    rows = TrainingRows(SAMPLES, LABELS, np.ones(120), np.arange(120) >= 60)
    with pytest.raises(InvalidInput, match="a model that no directory has"):
        fine_tune(tuned(with_dropout, replace(TWO, processes=1)).model, rows, TWO, 1)
    model = versions.load(with_dropout)
    model.network.final.weight.data.mul_(1.5)
    with pytest.raises(InvalidInput, match="do not start from the same weights"):
        fine_tune(model, rows, TWO, 1)
    assert not further()


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device_of(torch.device("cuda"), 1) == torch.device("cuda", 1)
    with pytest.raises(InvalidInput, match="process 3 of a fine-tune needs GPU 2, the last one is 1"):
        device_of(torch.device("cuda"), 2)
