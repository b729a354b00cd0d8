"""The checkpoints of training runs: files of the artifact store, below ``runs``, that the run's record names.

They are there for another trainer, on any host, should this one die. When a run ends they are removed.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from importance.errors import BadArtifact, StoreUnavailable
from storage import snapshot as snapshots
from storage.artifacts import Artifacts
from storage.lock import TrainerLock
from storage.runs import Run, Runs
from storage.snapshot import Snapshot
from trainer.tuning import Checkpoints, LoopState, checkpoint
from weir.learning.recovery import STOPS
from weir.process import logs
from weir.process.scratch import scratch

_log = logs.logger(__name__)
_OURS = re.compile(r"run\d+-(rows|\d+)-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Stored:
    """An artifact, and its sha256."""

    artifact: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Record:
    """What a run's record has of its checkpoint: the data, and the state after so many ``steps``.

    ``stops``: how many trainers left the run for the next one and lived, because they were told to stop or the store
    did not answer.
    """

    steps: int
    rows: Stored
    state: Stored
    stops: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Resumption:
    """A run that another trainer started, as its last checkpoint has it; it is resumed for the ``number``-th time."""

    number: int
    record: Record
    snapshot: Snapshot
    state: LoopState


class RunCheckpoints:
    """Keeps, reads and removes checkpoints. The store's free space must suffice for two of them, and for the data."""

    def __init__(self, artifacts_url: str, runs: Runs, lock: TrainerLock, every_steps: int) -> None:
        self._store = Artifacts(f"{artifacts_url.rstrip('/')}/runs")
        self._runs = runs
        self._lock = lock
        self._every_steps = every_steps

    def of(self, run: int, snapshot: Snapshot, resumption: Resumption | None) -> Checkpoints:
        """Return what keeps a run's state from now on: its data is written with the first.

        While the store or the local disk refuses files the run continues without, which is logged once.
        """
        last = None if resumption is None else resumption.record
        number = 0 if resumption is None else resumption.number
        refused = False

        def replace(state: LoopState) -> None:
            nonlocal last
            rows = last.rows if last else self._save(f"run{run}-rows", lambda into: snapshots.save(snapshot, into))
            kept = self._save(f"run{run}-{state.steps}", lambda into: checkpoint.save(state, into))
            old, last = last, Record(state.steps, rows, kept, last.stops if last else 0)
            self._runs.keep(run, number, asdict(last), self._lock)
            if old is not None and old.state != kept:
                self._store.remove(old.state.artifact)
            _log.debug("checkpoint", run=run, steps=state.steps)

        def keep(state: LoopState) -> None:
            nonlocal refused
            try:
                replace(state)
            except (StoreUnavailable, OSError) as error:  # OSError: of the local disk
                if not refused:
                    _log.warning(
                        "a checkpoint was not kept, or the one before it not removed: the run continues without",
                        run=run, steps=state.steps, reason=str(error),
                    )  # fmt: skip
                refused = True
                return
            if refused:
                _log.info("checkpoints are kept again", run=run, steps=state.steps)
            refused = False

        return Checkpoints(self._every_steps, keep, None if resumption is None else resumption.state)

    def load(self, run: Run, number: int) -> Resumption:
        """Read the last checkpoint of a run, which is resumed for that time. Raises BadArtifact, StoreUnavailable."""
        try:
            record = msgspec.convert(run.checkpoint, Record)
        except msgspec.ValidationError as error:
            raise BadArtifact(f"the record of the checkpoint of run {run.id} is not valid: {error}") from error
        with scratch("resume") as directory:
            rows, state = (self._store.fetch(of.artifact, of.sha256, directory) for of in (record.rows, record.state))
            return Resumption(number, record, snapshots.load(rows), checkpoint.load(state))

    def leave(self, run: int, number: int) -> bool:
        """Leave a run, which was resumed so often, to the next trainer; False where it has no checkpoint."""
        kept = next((left.checkpoint for left in self._runs.left() if left.id == run), None)
        if kept is not None:
            self._runs.keep(run, number, {**kept, STOPS: int(kept.get(STOPS, 0)) + 1}, self._lock)
        return kept is not None

    def clear(self) -> None:
        """Remove all checkpoints: to be called with the right to train, while no run is in progress."""
        for name in filter(_OURS.fullmatch, self._store.names()):
            self._store.remove(name)

    def _save(self, name: str, write: Callable[[Path], Path]) -> Stored:
        with scratch("checkpoint") as directory:
            return Stored(*self._store.save(name, write(directory / "files")))
