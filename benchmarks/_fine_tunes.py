"""Fine-tunes for a benchmark: a buffer of samples, trainers as processes, and a run made again from its data."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import uuid4

import psutil
import sqlalchemy as sa

from benchmarks._servers import Servers
from datasets import open_dataset, simulation
from importance.errors import InvalidInput
from importance.flush import Flush
from importance.partition_progress import Progress
from importance.reservoir import admit
from importance.sample import Sample
from importance.scores import Scores
from importance.strata import HOLDOUT
from storage import snapshot as snapshots
from storage.artifacts import Artifacts, manifest_of
from storage.audit import Via
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.engine import create_engine
from storage.lock import Right
from storage.progress import Progresses
from storage.registry import Active, Registry
from storage.requests import Requests
from storage.runs import Run, Runs
from trainer import version_directory as versions
from trainer.cycle import Held, Start, learn
from trainer.device import choose
from trainer.labelled import Labelled
from trainer.tuning import TrainingRows
from weir.learning.first_version import make_first
from weir.learning.records import RunInputs
from weir.learning.weights import row_weights
from weir.operations import Operations
from weir.settings import Settings, training, values

_FORKS = get_context("forkserver")
_HOLDERS = sa.text(
    "SELECT client_port FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted "
    "AND objid = :right AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(eq=False)
class Shop:
    """A database with a first version and a buffer; `feed` stores more samples of the same made-up shop."""

    settings: Settings
    _samples: Iterator[Sample] = field(init=False, repr=False)
    _stored: int = 0

    def __post_init__(self) -> None:
        """Connect; what is stored is up to `prepare`. Raises InvalidInput for settings that `undisturbed` lacks."""
        _check_covered(self.settings)
        self.engine = create_engine(self.settings.database_url)
        self.registry, self.runs = Registry(self.engine), Runs(self.engine)
        self.requests, self.reader = Requests(self.engine), BufferReader(self.engine)
        self.artifacts = Artifacts(self.settings.artifacts_url)
        self.kept = Artifacts(f"{self.settings.artifacts_url}/runs")
        self._samples = iter(open_dataset(simulation.NAME, self.settings.seed).history())
        topic = uuid4()
        capacities = values.strata(self.settings).capacities(self.settings.buffer_capacity)
        self._epoch = Progresses(self.engine, topic).claim(0, 1).epoch
        self._buffer = Buffer(self.engine, capacities, topic)

    def prepare(self, history: int, samples: int) -> None:
        """Train the first version on a history, and store the samples after it."""
        first = list(islice(self._samples, history))
        operations = Operations(self.engine, self.artifacts, print, Via.CLI)
        make_first(self.settings, self.registry, operations, lambda: first, lambda *_: None)
        self.feed(samples)

    def feed(self, count: int) -> None:
        """Store samples as a worker does; each weighs the same."""
        batch = list(islice(self._samples, count))
        offers = admit(batch, Scores.uniform(count), values.admission(self.settings), self._buffer.thresholds())
        old, self._stored = self._stored, self._stored + count
        progress = Progress(self._stored, batch[-1].time_ms, 0, 0)
        self._buffer.persist(Flush(0, self._epoch, old, progress, offers, samples=count))

    def active(self) -> Active:
        """Return the active version."""
        active = self.registry.active()
        assert active is not None
        return active

    def holders(self) -> list[int]:
        """Return the ports of the sessions that hold the right to train: one at most."""
        with self.engine.connect() as connection:
            return list(connection.scalars(_HOLDERS, {"right": int(Right.TRAIN)}))

    def undisturbed(self, run: Run, rows: Path, into: Path) -> Path:
        """Make a run again that nothing happened to, from the data that it kept; return its candidate's directory."""
        assert run.candidate is not None
        settings, found = self.settings, snapshots.load(rows)
        parent = self.registry.version(self.registry.version(run.candidate).parent or "")
        sequence = RunInputs.of(run).sequence
        serving = next(entry.to_version for entry in self.registry.log() if entry.sequence == sequence)
        served = self.registry.version(serving or "")
        drawn, holdout = found.drawn, self.reader.draw((HOLDOUT,))
        weights = row_weights(settings, drawn.samples, drawn.probability).values
        serving_files, base_files = (
            self.artifacts.fetch(each.artifact, each.sha256, into) for each in (served, parent)
        )
        candidate = learn(
            Start(serving_files, base_files),
            TrainingRows(drawn.samples, drawn.label, weights, drawn.stored > found.watermark, drawn.prediction),
            Held(Labelled(holdout.samples, holdout.label), Labelled(found.uniform.samples, found.uniform.label)),
            training.tuning(settings),
            training.gate(settings),
            settings.seed + run.id,
            device=choose(settings.device),
        )
        return versions.save(candidate.tuned.model, into / f"run{run.id}")

    def differing(self, run: Run, rows: Path, into: Path) -> list[str]:
        """Return the files in which a run's candidate differs from that of the run made again, by their sha256."""
        candidate = self.registry.version(run.candidate or "")
        stored = manifest_of(self.artifacts.fetch(candidate.artifact, candidate.sha256, into))
        made = manifest_of(self.undisturbed(run, rows, into))
        return sorted({line.partition("  ")[2] for line in {*made.splitlines()} ^ {*stored.splitlines()}})


class Trainers:
    """``weir trainer`` so many times, each a process, forked so that it starts soon; one that is killed is replaced.

    Their log and their temporary files are in ``home``.
    """

    def __init__(self, settings: Settings, count: int, home: Path) -> None:
        self._settings, self._home = settings, home
        self._temporary = home / "tmp"
        self._temporary.mkdir()
        _FORKS.set_forkserver_preload(["weir.roles.trainer"])
        self._processes = [self._start() for _ in range(count)]

    def leader(self, holders: Sequence[int]) -> BaseProcess | None:
        """Return the process whose session holds the right to train."""
        return next((each for each in self._processes if _ports(each).intersection(holders)), None)

    def working(self) -> set[Path]:
        """Return the directories in which a trainer that lives fine-tunes: it holds a lock in its own."""
        found = set()
        for lock in self._temporary.glob("weir-train-*/.lock"):
            with suppress(FileNotFoundError), lock.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.add(lock.parent)
        return found

    def last_lines(self) -> str:
        """Return the end of their log."""
        return "\n".join((self._home / "log").read_text().splitlines()[-20:])

    def kill(self, process: BaseProcess) -> None:
        """Kill a trainer (-9), and wait for its end."""
        process.kill()
        process.join()

    def replace(self, process: BaseProcess) -> None:
        """Start another one for one that was killed."""
        self._processes[self._processes.index(process)] = self._start()

    def stop(self) -> None:
        """Stop all in order."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _start(self) -> BaseProcess:
        process = _FORKS.Process(target=_train, args=(self._settings, self._home / "log", self._temporary))
        process.start()
        return process


def _check_covered(settings: Settings) -> None:
    """Refuse settings by which a trainer makes its run of other rows, or from another base, than `undisturbed`."""
    for name, value, covered in (
        ("WEIR_TRAIN_VALIDATION_STEPS", settings.train_validation_steps, 0),
        ("WEIR_SELECTION_FALLBACK", settings.selection_fallback, "off"),
        ("WEIR_MIRROR_SHARE", settings.mirror_share, 0.0),
    ):
        if value != covered:
            raise InvalidInput(f"{name} is {value}; a run is not made again by it: set it to {covered}")


def _ports(process: BaseProcess) -> set[int]:
    try:
        return {each.laddr.port for each in psutil.Process(process.pid).net_connections("tcp")}
    except psutil.NoSuchProcess:
        return set()


def _train(settings: Settings, log: Path, temporary: Path) -> None:
    from weir.roles.trainer import run  # loads torch; the fork server has it already

    os.setpgrp()  # ^C is for the benchmark alone: what goes on is to end, and a trainer would stop at once
    os.dup2(os.open(log, os.O_CREAT | os.O_APPEND | os.O_WRONLY), 2)
    tempfile.tempdir = str(temporary)
    run(settings)


def settings_for(servers: Servers, home: Path, **changes: object) -> Settings:
    """Return the settings of trainers over a new database, without pauses."""
    return Settings(home=home).model_copy(
        update={
            "database_url": servers.database(),
            "metrics_port": 0,
            "threads": 1,
            "train_cooldown_seconds": 0.0,
            "retry_first_seconds": 0.05,
            "retry_limit_seconds": 0.2,
            "log_level": "info",
        }
        | changes
    )
