"""What is left when trainers are killed (-9) at random moments of their fine-tunes.

Two ``weir trainer`` compete for the right to train. The one that holds it is killed again and again, at a moment drawn
from a seed, and replaced; samples are stored meanwhile. After each kill the active version is read and compared with
its checksums. In the end each run that was resumed is made again, undisturbed, from the data that it had kept, and all
files of the two candidates are compared.

    python benchmarks/kills.py --kills 200 > benchmarks/results/kills.md

Interrupted (^C), it lets the run that goes on end, and prints what it has; a second ^C ends the wait.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from signal import SIGINT
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # else a neighbour's name may hide a package of ours

from benchmarks import _report as report
from benchmarks._fine_tunes import Shop, Trainers, settings_for
from benchmarks._servers import postgres
from importance.errors import BadArtifact, StoreUnavailable
from storage.registry import State
from storage.runs import LEARNED, Run, RunResult
from trainer.device import use_threads
from weir.learning.recovery import MAX_RESUMED
from weir.process.signals import handled

HISTORY, SAMPLES, FED = 600, 700, 4
STEPS, BATCH = 16, 16
AFTER_SECONDS = 0.05
"""A kill comes up to so long after what it waited for."""
LIMIT_SECONDS = 300
ENDS = 0.4
"""Chance that the run that goes on may end before the next kill: one that is killed four times fails."""
SWEEP_SECONDS = 0.5
POLL_SECONDS = 0.002
DRAW, STEP, GATE, REGISTERED, DECIDED, BETWEEN = (
    "draw, before the first checkpoint", "between two checkpoints", "gate and files, after the last step",
    "candidate registered", "promoted or rejected, not yet recorded", "between two runs",
)  # fmt: skip
PHASES = (DRAW, STEP, GATE, REGISTERED, DECIDED, BETWEEN)
EXPLANATION = f"""\
A run is abandoned where its trainer was killed before the first checkpoint, failed where {MAX_RESUMED + 1} were.
A violation would be: after a kill, a file of the active version without its checksum; at any poll, two sessions with
the right to train, two trainers at work or two runs that go on; in the end, a run without an end or a reason, or one
that was resumed and has another candidate than the undisturbed run.
"""


@dataclass(eq=False)
class Drill:
    """Trainers that are killed, what they were doing, and what was found to be wrong."""

    shop: Shop
    trainers: Trainers
    home: Path
    random: Random
    phases: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    settled: bool = False
    interrupted: bool = False
    _rows: dict[int, Path] = field(default_factory=dict)

    @property
    def kills(self) -> int:
        """How many trainers were killed."""
        return self.phases.total()

    def kill(self) -> None:
        """Kill the trainer that has the right, at a moment of a run; check what it leaves, and replace it."""
        self.shop.feed(FED)
        if self.random.random() < ENDS:
            self._until(lambda: self._open() is None)
        leader = self._leader()
        self._until(self._moment())
        time.sleep(self.random.random() * AFTER_SECONDS)
        self.trainers.kill(leader)
        self._check()
        self.trainers.replace(leader)

    def settle(self) -> None:
        """Let the runs that go on end, without kills."""
        self._until(lambda: self._open() is None and not self.shop.requests.waits())
        self.settled = True

    def compare(self) -> tuple[int, int]:
        """Return how many runs were resumed and carried through, and how many of their candidates are the same."""
        resumed = [run for run in self.shop.runs.latest(10_000, LEARNED) if run.resumed and run.candidate]
        same = 0
        for run in resumed:
            if run.id not in self._rows:
                self.report(f"run {run.id} was resumed, and its rows were gone when its checkpoint was first seen")
                continue
            with TemporaryDirectory(dir=self.home) as directory:
                differing = self.shop.differing(run, self._rows[run.id], Path(directory))
            same += not differing
            if differing:
                self.report(f"run {run.id}: {', '.join(differing)} of its candidate differ")
        return len(resumed), same

    def ended(self) -> Counter[RunResult | None]:
        """Count the runs by how they ended; one without end, if they have settled, or reason is a violation."""
        runs = self.shop.runs.latest(10_000)
        for run in runs:
            if run.result is None and self.settled:
                self.report(f"run {run.id} has no end")
            if run.result is not None and not "".join(run.reasons).strip():
                self.report(f"run {run.id} has no reason")
        return Counter(run.result for run in runs)

    def unnamed(self) -> int:
        """Return how many directories of the store no version is registered for."""
        named = {version.artifact for version in self.shop.registry.versions()}
        return len({*self.shop.artifacts.names()} - named - {"runs"})

    def report(self, violation: str) -> None:
        """Add a violation, once: a state that lasts is seen at every poll."""
        if violation not in self.violations:
            self.violations.append(violation)

    def _moment(self) -> Callable[[], bool]:
        """Draw what the kill waits for, of the run that goes on or, where there is none, of the next one."""
        step = self.random.randint(1, STEPS // 2)
        reached: dict[str, Callable[[Run], bool]] = {
            DRAW: lambda _: True,
            STEP: lambda run: _steps(run) >= step,
            GATE: lambda run: _steps(run) >= STEPS,
            REGISTERED: lambda run: run.candidate is not None,
        }
        wanted = reached[self.random.choice([*reached, STEP])]
        first = self._open()

        def is_reached() -> bool:
            run = self._open()
            if run is None:
                self._ask()
                return False
            return wanted(run) or (first is not None and run.id != first.id)

        return is_reached

    def _check(self) -> None:
        run, active = self._open(), self.shop.active()
        self.phases[self._phase(run)] += 1
        try:
            self.shop.artifacts.check(active.artifact, active.sha256)
        except BadArtifact as error:
            self.report(f"the active version {active.version}: {error}")
        self._watch()

    def _phase(self, run: Run | None) -> str:
        if run is None:
            return BETWEEN
        if run.candidate is not None:
            decided = self.shop.registry.version(run.candidate).state is not State.CANDIDATE
            return DECIDED if decided else REGISTERED
        return DRAW if run.checkpoint is None else GATE if _steps(run) >= STEPS else STEP

    def _until(self, reached: Callable[[], bool]) -> None:
        """Wait, and see to it meanwhile that one trainer works at most. Raises KeyboardInterrupt, TimeoutError."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not reached():
            self._watch()
            if self.interrupted:
                self.interrupted = False
                raise KeyboardInterrupt
            if time.monotonic() > deadline:
                print(self.trainers.last_lines(), file=sys.stderr)
                raise TimeoutError(f"after {self.kills} kills the trainers did nothing for {LIMIT_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def _leader(self) -> BaseProcess:
        """Wait until a trainer has the right, and return it; it keeps it until it is killed."""
        found: list[BaseProcess] = []

        def leads() -> bool:
            leader = self.trainers.leader(self.shop.holders())
            found.extend([] if leader is None else [leader])
            return bool(found)

        self._until(leads)
        return found[0]

    def _watch(self) -> None:
        """Copy the rows of a run that has a checkpoint: the trainer that ends the run removes them.

        More than one that holds the right to train, or two at work at a time, is a violation.
        """
        left = self.shop.runs.left()
        for run in left:
            self._copy_rows(run)
        after = f"after {self.kills} kills"
        if len(left) > 1:
            self.report(f"{after} runs {[run.id for run in left]} went on at a time")
        if len(holders := self.shop.holders()) > 1:
            self.report(f"{after} {len(holders)} sessions held the right to train")
        if len(working := self.trainers.working()) > 1:
            time.sleep(SWEEP_SECONDS)  # one that starts holds the lock of what a killed one left, to remove it
            if len(working := working & self.trainers.working()) > 1:
                self.report(f"{after} {len(working)} trainers trained at a time")

    def _copy_rows(self, run: Run) -> None:
        if run.checkpoint is None or run.id in self._rows:
            return
        rows = run.checkpoint["rows"]
        with suppress(BadArtifact, StoreUnavailable):  # the run has just ended
            self._rows[run.id] = self.shop.kept.fetch(rows["artifact"], rows["sha256"], self.home / f"rows-{run.id}")

    def _ask(self) -> None:
        if not self.shop.requests.waits():
            self.shop.requests.ask("benchmark", "to be killed")

    def _open(self) -> Run | None:
        return next(iter(self.shop.runs.left()), None)


def _steps(run: Run) -> int:
    return 0 if run.checkpoint is None else int(run.checkpoint["steps"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Kill, compare, and print the tables; exit with 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--checkpoint-steps", type=int, default=1, help="steps between two checkpoints (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    options = parser.parse_args(arguments)
    use_threads(1)
    with postgres() as servers, TemporaryDirectory(prefix="weir-benchmark-") as directory:
        home = Path(directory)
        settings = settings_for(
            servers, home, train_steps=STEPS, train_batch=BATCH, train_checkpoint_steps=options.checkpoint_steps,
            gate_least_samples=20, gate_margin=0.02, selection_fallback="off", mirror_share=0.0,
        )  # fmt: skip
        shop = Shop(settings)
        shop.prepare(HISTORY, SAMPLES)
        started = time.monotonic()
        drill = Drill(shop, Trainers(settings, 2, home), home, Random(options.seed))
        try:
            with handled(lambda *_: setattr(drill, "interrupted", True), SIGINT):
                with suppress(KeyboardInterrupt):
                    while drill.kills < options.kills:
                        drill.kill()
                        print(f"{drill.kills} kills, {len(drill.violations)} violations", file=sys.stderr, flush=True)
                with suppress(KeyboardInterrupt):
                    drill.settle()
        except TimeoutError as error:
            drill.report(str(error))
        finally:
            drill.trainers.stop()
        seconds = time.monotonic() - started
        _print(drill, options, seconds)
        shop.engine.dispose()
    sys.exit(1 if drill.violations else 0)


def _print(drill: Drill, options: argparse.Namespace, seconds: float) -> None:
    ended, (resumed, same) = drill.ended(), drill.compare()
    runs = drill.shop.runs.latest(10_000)
    print("# Trainers that are killed\n")
    print(f"`python benchmarks/kills.py --kills {options.kills} --checkpoint-steps {options.checkpoint_steps} "
          f"--seed {options.seed}`"
          + (f", ended after {drill.kills} kills" if drill.kills < options.kills else "") + "\n")  # fmt: skip
    print(report.conditions("torch", "sqlalchemy", "psycopg") + "\n")
    print(f"Two trainers, {STEPS} steps of {BATCH} samples a run, a checkpoint every {options.checkpoint_steps}; "
          f"{seconds:,.0f} s.\n")  # fmt: skip
    rows: list[tuple[object, ...]] = [("kills (-9) of the trainer that had the right", drill.kills)]
    rows += [(f"killed at: {phase}", drill.phases[phase]) for phase in PHASES]
    rows += [("runs", len(runs)), *((f"ended: {result}", ended[result]) for result in RunResult if ended[result])]
    rows += [
        *([("left when the drill was interrupted", ended[None])] if ended[None] else []),
        ("runs that were resumed, at least once", sum(run.resumed > 0 for run in runs)),
        ("of them carried through", resumed),
        ("of these with the candidate of an undisturbed run, every file to the bit", same),
        ("directories of versions that were saved and never registered", drill.unnamed()),
        ("violations", len(drill.violations)),
    ]
    print(report.table("Runs", ("", ""), rows))
    print(EXPLANATION)
    for violation in drill.violations:
        print(f"- {violation}")


if __name__ == "__main__":
    main()
