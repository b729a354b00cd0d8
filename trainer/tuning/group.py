"""Further processes for a fine-tune, on this host: started for it, and gone with it.

They keep nothing on disk and decide nothing: each makes a step when the first process says so. They end with it, be it
that it was killed. They load the version from its directory, so that only rows, and the state where a fine-tune is
resumed, are given to them.

It starts in this order, and a process that ends on the way is noticed at each place: all are started, with nothing to
read but a pipe; each says `_HERE` when its libraries are loaded, and is sent the work; it says `_READY` when it has
loaded the version; all join; the first one compares their weights with its own.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing import connection, resource_tracker
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
"""Sent to the whole process group by a terminal or a supervisor; the first process alone decides what they end."""
_HERE, _READY, _STEP = b"here", b"ready", b"step"
_START_SECONDS = 300.0
"""How long libraries and version may take to load, on a machine that does other work."""
_POLL_SECONDS = 0.2
_JOIN, _PATIENCE = timedelta(minutes=1), timedelta(minutes=5)
"""How long a process waits for another to join, and then for its share of a batch once its own is computed."""
_GOODBYE_SECONDS, _REPORT_SECONDS = 10.0, 5.0
_STATE, _PROBE = "state", "probe"


class FineTuneFailed(WeirError):
    """A further process of a fine-tune ended, or could not begin; the text says which and why."""


@dataclass(frozen=True, eq=False, slots=True)
class Work:
    """What a further process needs to make the same steps: a version's ``directory``, and a `TrainingLoop`'s arguments.

    ``device`` is that of the first process; each further one takes the next GPU. ``moments``: whether Adam's are read.
    """

    directory: Path
    device: torch.device
    threads: int
    moments: bool
    data: TrainingBatches
    optimisation: Optimisation
    seed: int

    @classmethod
    def of(cls, model: Model, data: TrainingBatches, optimisation: Optimisation, seed: int) -> "Work":
        """Return the work on a model as its directory has it; InvalidInput where none has."""
        if model.directory is None:
            raise InvalidInput("a model that no directory has cannot be trained by several processes: save and load it")
        moments = model.moments is not None
        return cls(model.directory, model.device, torch.get_num_threads(), moments, data, optimisation, seed)


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
def group(
    count: int, work: Work, resumed: LoopState | None = None, stop: Callable[[], bool] | None = None
) -> Iterator[Group]:
    """Start ``count`` - 1 further processes for the length of a block, in the main thread of a program.

    There are none where ``stop`` tells to end while they start. Raises `FineTuneFailed` when one of them ends before
    the block does, InvalidInput where there are fewer GPUs, and OSError where what they need cannot be written.
    """
    device_of(work.device, count - 1)
    with TemporaryDirectory(prefix="group-", dir=work.directory.parent) as name:
        meeting = Path(name)
        (meeting / _PROBE).write_bytes(bytes(4096))  # a full disk is an OSError here, and none of torch's below
        if resumed is not None:
            checkpoint.save(resumed, meeting / _STATE)
        with _started(count) as others:
            try:
                if not _begin(others, work, meeting, stop):
                    yield Group()
                    return
                processes = _join(0, count, meeting)
                yield Group(processes, [other.pipe for other in others])
            except ProcessLost as error:
                raise FineTuneFailed(_reason(others, error)) from error


@dataclass(frozen=True, eq=False, slots=True)
class _Other:
    """A further process, its number among all, and this side of the pipe to it."""

    number: int
    pipe: Connection
    process: SpawnProcess


@contextmanager
def _started(count: int) -> Iterator[list[_Other]]:
    """Start the further processes; end them after the block, at once where it raised an error or never began."""
    context = multiprocessing.get_context("spawn")
    others: list[_Other] = []
    resource_tracker.ensure_running()  # whoever starts it first unblocks the signals
    try:
        for number in range(1, count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_follow, args=(number, count, theirs), name=f"fine-tune-{number}")
            with _signals_blocked():  # also until it is known here
                # Small arguments: `start` waits without a limit until larger ones are read.
                process.start()
                others.append(_Other(number, ours, process))
            theirs.close()
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


def _begin(others: Sequence[_Other], work: Work, meeting: Path, stop: Callable[[], bool] | None) -> bool:
    """Send all the work and wait until they have loaded the version; return False where ``stop`` told to end.

    Raises `ProcessLost` when one ends instead, or takes too long.
    """
    deadline = time.monotonic() + _START_SECONDS
    for expected in (_HERE, _READY):
        for other in others:
            while not other.pipe.poll(_POLL_SECONDS):
                if stop is not None and stop():
                    for each in others:
                        each.process.kill()
                    return False
                if time.monotonic() > deadline or any(each.process.exitcode is not None for each in others):
                    raise ProcessLost(f"not ready after {_START_SECONDS:.0f} s")
            try:
                said = other.pipe.recv_bytes()
                if said != expected:
                    raise FineTuneFailed(f"{_name(other, others)}: {said.decode()}")
                if said == _HERE:
                    other.pipe.send((work, meeting))
            except (EOFError, ConnectionError) as error:
                raise ProcessLost("it ended while it started") from error
    return True


def _follow(number: int, count: int, pipe: Connection) -> None:
    """Make the steps that the first process announces. The whole life of a further process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        pipe.send_bytes(_HERE)
        work, meeting = pipe.recv()
        use_threads(work.threads)
        device = device_of(work.device, number)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # else whatever names no device opens the first one in every process
        model = versions.load(work.directory, device, with_moments=work.moments)
        model = with_tasks(model, work.optimisation.tasks.names)
        resumed = checkpoint.load(meeting / _STATE) if (meeting / _STATE).exists() else None
        pipe.send_bytes(_READY)
        loop = TrainingLoop(model, work.data, work.optimisation, work.seed, _join(number, count, meeting))
        if resumed is not None:
            loop.restore(resumed)
        loop.check()
        while pipe.recv_bytes() == _STEP:
            loop.step()
    except (EOFError, ConnectionError, ProcessLost):  # the first process is gone, or knows which other one is
        return
    except Exception as error:  # of any kind: the first process reports it
        with suppress(ConnectionError):
            pipe.send_bytes(f"{type(error).__name__}: {error}".partition("\n")[0].encode())


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, whatever it waits for."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def _join(number: int, count: int, meeting: Path) -> Processes:
    """Return the group of all processes; they meet in a directory that only this user can read, and on loopback.

    Sums are made by gloo in the memory of the host, also those of GPUs: a process that ends is an error there, where
    NCCL would wait, and end the process that waits. Raises `ProcessLost`.
    """
    # Private names of torch, which is pinned: by init_process_group gloo would listen on the address of the host,
    # unless the environment has another.
    options = distributed.ProcessGroupGloo._Options()
    options._timeout = _JOIN
    options._devices = [distributed.ProcessGroupGloo.create_device(hostname="127.0.0.1")]
    try:
        store = distributed.FileStore(str(meeting / "store"), count)
        store.set_timeout(_JOIN)
        backend = distributed.ProcessGroupGloo(store, number, count, options)
    except RuntimeError as error:
        raise ProcessLost(str(error).partition("\n")[0]) from error
    backend._set_default_timeout(_PATIENCE)
    return Processes(number, count, backend)


def _reason(others: Sequence[_Other], error: ProcessLost) -> str:
    """Return which process ended, and why; one that ended because another did says nothing, and ends well."""
    connection.wait([other.process.sentinel for other in others], _REPORT_SECONDS)
    for other in others:
        with suppress(EOFError, ConnectionError):
            while other.pipe.poll():
                if (said := other.pipe.recv_bytes()) not in (_HERE, _READY):
                    return f"{_name(other, others)}: {said.decode()}"
    for other in others:
        if connection.wait([other.process.sentinel], 0):
            other.process.join()
            if other.process.exitcode:  # negative: the signal
                return f"{_name(other, others)} ended with exit code {other.process.exitcode}"
    alive = [_name(other, others) for other in others if other.process.is_alive()]
    return f"no answer from {' or '.join(alive) or 'a process of the fine-tune'}: {error}"


def _name(other: _Other, others: Sequence[_Other]) -> str:
    return f"process {other.number + 1} of {len(others) + 1} of the fine-tune"
