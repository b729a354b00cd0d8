"""Further processes for a fine-tune, on this host: started for it, and gone with it.

They keep nothing on disk and decide nothing: each makes a step when this process says so, and ends when the pipe to
this process closes, be it that this process was killed. They load the version from its directory, so that only rows,
and the state where a fine-tune is resumed, are sent to them.
"""

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed

from importance.errors import InvalidInput, WeirError
from trainer import version_directory as versions
from trainer.device import device_of, use_threads
from trainer.tasks import with_tasks
from trainer.tuning import checkpoint
from trainer.tuning.batches import TrainingBatches
from trainer.tuning.loop import LoopState, TrainingLoop
from trainer.tuning.optimisation import Optimisation
from trainer.tuning.processes import Processes, ProcessLost
from trainer.version_directory import Model

distributed: Any = torch.distributed  # its stubs lack half of what is used here

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Sent to the whole process group by a terminal or a supervisor; this process alone decides what they end."""
_READY = b"ready"
_STEP = b"step"
_PATIENCE = timedelta(minutes=10)
"""How long a process may take for its share longer than another."""
_GOODBYE_SECONDS, _REPORT_SECONDS = 10.0, 5.0
_STATE = "state"


class FineTuneFailed(WeirError):
    """A further process of a fine-tune ended, or could not begin; the text says which and why."""


@dataclass(frozen=True, eq=False, slots=True)
class Work:
    """What a further process needs to make the same steps: a version's ``directory``, and a `TrainingLoop`'s arguments.

    ``device`` is that of the first process; each further one takes the next GPU. ``moments``: whether Adam's are read.
    """

    directory: Path
    device: torch.device
    moments: bool
    data: TrainingBatches
    optimisation: Optimisation
    seed: int

    @classmethod
    def of(cls, model: Model, data: TrainingBatches, optimisation: Optimisation, seed: int) -> "Work":
        """Return the work on a model that was read from a directory; InvalidInput for another."""
        if model.directory is None:
            raise InvalidInput("a model that was not read from a directory cannot be trained by several processes")
        return cls(model.directory, model.device, model.moments is not None, data, optimisation, seed)


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """The first of several ``processes``, which is where it is made, and the further ones, which follow its steps."""

    processes: Processes = field(default_factory=Processes)
    _pipes: Sequence[Connection] = ()

    def step(self) -> None:
        """Let the further processes make the step that this one makes next. Raises `ProcessLost`."""
        for pipe in self._pipes:
            try:
                pipe.send_bytes(_STEP)
            except OSError as error:
                raise ProcessLost(str(error)) from error


@contextmanager
def group(count: int, work: Work, resumed: LoopState | None = None) -> Iterator[Group]:
    """Start ``count`` - 1 further processes for the length of a block; with a count of 1, none.

    Raises `FineTuneFailed` when one of them ends before the block does, InvalidInput where there are fewer GPUs, and
    OSError where the state to resume cannot be written for them.
    """
    if count == 1:
        yield Group()
        return
    device_of(work.device, count - 1)
    with TemporaryDirectory(prefix="group-", dir=work.directory.parent) as name:
        meeting = Path(name)
        if resumed is not None:
            checkpoint.save(resumed, meeting / _STATE)
        with _started(count, work, meeting) as others:
            try:
                _await_ready(others)
                yield Group(_join(0, count, work.device, meeting), [other.pipe for other in others])
            except ProcessLost as error:
                raise FineTuneFailed(_reason(others, error)) from error


@dataclass(frozen=True, eq=False, slots=True)
class _Other:
    number: int
    pipe: Connection
    process: SpawnProcess


@contextmanager
def _started(count: int, work: Work, meeting: Path) -> Iterator[list[_Other]]:
    """Start the further processes; end them after the block, at once where it raised an error."""
    context = multiprocessing.get_context("spawn")
    others: list[_Other] = []
    try:
        for number in range(1, count):
            ours, theirs = context.Pipe()
            args = (Processes(number, count), work, meeting, torch.get_num_threads(), theirs)
            process = context.Process(target=_follow, args=args, name=f"fine-tune-{number}", daemon=True)
            with _signals_blocked():
                process.start()
            theirs.close()
            others.append(_Other(number, ours, process))
        yield others
        for other in others:
            other.pipe.close()
        for other in others:
            other.process.join(_GOODBYE_SECONDS)
    finally:
        for other in others:
            other.process.kill()
        for other in others:
            other.process.join()
            other.pipe.close()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block what is sent to all processes of a terminal or a supervisor: a process has the mask of who starts it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _follow(processes: Processes, work: Work, meeting: Path, threads: int, pipe: Connection) -> None:
    """Make the steps that the first process announces. The whole life of a further process."""
    try:
        use_threads(threads)
        device = device_of(work.device, processes.number)
        model = versions.load(work.directory, device, with_moments=work.moments)
        model = with_tasks(model, work.optimisation.tasks.names)
        pipe.send_bytes(_READY)
        joined = _join(processes.number, processes.count, device, meeting)
        loop = TrainingLoop(model, work.data, work.optimisation, work.seed, joined)
        if (meeting / _STATE).exists():
            loop.restore(checkpoint.load(meeting / _STATE))
        while pipe.recv_bytes() == _STEP:
            loop.step()
    except (EOFError, ConnectionError, ProcessLost):  # the first process is gone, or knows which other one is
        return
    except Exception as error:  # of any kind: the first process reports it
        with suppress(ConnectionError):
            pipe.send_bytes(f"{type(error).__name__}: {error}".partition("\n")[0].encode())


def _join(number: int, count: int, device: torch.device, meeting: Path) -> Processes:
    """Return the group of all processes; they meet in a directory that only this user can read, and on loopback."""
    store = distributed.FileStore(str(meeting / "store"), count)
    if device.type == "cuda":
        nccl = distributed.ProcessGroupNCCL.Options()
        nccl._timeout = _PATIENCE
        backend = distributed.ProcessGroupNCCL(store, number, count, nccl)
    else:  # by init_process_group it would listen on the address of the host, unless the environment has another
        gloo = distributed.ProcessGroupGloo._Options()
        gloo._timeout = _PATIENCE
        gloo._devices = [distributed.ProcessGroupGloo.create_device(hostname="127.0.0.1")]
        backend = distributed.ProcessGroupGloo(store, number, count, gloo)
    return Processes(number, count, backend)


def _await_ready(others: Sequence[_Other]) -> None:
    """Wait until all have loaded the version. Raises `ProcessLost` when one ends instead."""
    for other in others:
        try:
            said = other.pipe.recv_bytes()
        except (EOFError, ConnectionError) as error:
            raise ProcessLost("it ended while it started") from error
        if said != _READY:
            raise FineTuneFailed(f"{_name(other, others)}: {said.decode()}")


def _reason(others: Sequence[_Other], error: ProcessLost) -> str:
    """Return which process ended, and why; one that ended because another did says nothing, and ends well."""
    connection.wait([other.process.sentinel for other in others], _REPORT_SECONDS)
    for other in others:
        with suppress(EOFError, ConnectionError):
            if other.pipe.poll():
                return f"{_name(other, others)}: {other.pipe.recv_bytes().decode()}"
        if other.process.exitcode:  # negative: the signal
            return f"{_name(other, others)} ended with exit code {other.process.exitcode}"
    return f"a process of the fine-tune does not answer: {error}"


def _name(other: _Other, others: Sequence[_Other]) -> str:
    return f"process {other.number + 1} of {len(others) + 1} of the fine-tune"
