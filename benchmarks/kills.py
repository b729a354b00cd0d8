"""What is left when trainers are killed (-9) at random moments of their fine-tunes.

Two ``weir trainer`` compete for the right to train. The one that holds it is killed again and again, at a moment drawn
from a seed, and replaced; samples are stored meanwhile. After each kill the active version is read and compared with
its checksums. In the end each run that was resumed is made again, undisturbed, from the data that it had kept, and all
files of the two candidates are compared.

    python benchmarks/kills.py --kills 200 > benchmarks/results/kills.md

Interrupted (^C), it kills no more, and prints what it has.
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
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # else a neighbour's name may hide a package of ours

from benchmarks import _report as report
from benchmarks._fine_tunes import Shop, Trainers, settings_for
from benchmarks._servers import postgres
from importance.errors import BadArtifact, StoreUnavailable
from storage.registry import State
from storage.runs import LEARNED, Run, RunResult
from trainer.device import use_threads

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


@dataclass(eq=False)
class Drill:
    """Trainers that are killed, what they were doing, and what was found to be wrong."""

    shop: Shop
    trainers: Trainers
    home: Path
    random: Random
    phases: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    _rows: dict[int, Path] = field(default_factory=dict)

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

    def compare(self) -> tuple[int, int]:
        """Return how many runs were resumed and carried through, and how many of their candidates are the same."""
        resumed = [run for run in self.shop.runs.latest(10_000, LEARNED) if run.resumed and run.candidate]
        same = 0
        for run in resumed:
            if run.id not in self._rows:
                self.violations.append(f"run {run.id} was resumed, and its rows were not there after the kill")
                continue
            with TemporaryDirectory(dir=self.home) as directory:
                differing = self.shop.differing(run, self._rows[run.id], Path(directory))
            same += not differing
            if differing:
                self.violations.append(f"run {run.id}: {', '.join(differing)} of its candidate differ")
        return len(resumed), same

    def ended(self) -> Counter[str]:
        """Count the runs by how they ended; one without end or reason is a violation."""
        runs = self.shop.runs.latest(10_000)
        self.violations += [f"run {run.id} has no end" for run in runs if run.result is None]
        self.violations += [f"run {run.id} has no reason" for run in runs if not "".join(run.reasons).strip()]
        return Counter(str(run.result) for run in runs)

    def unnamed(self) -> int:
        """Return how many directories of the store no version is registered for."""
        named = {version.artifact for version in self.shop.registry.versions()}
        return len({*self.shop.artifacts.names()} - named - {"runs"})

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
            self.violations.append(f"the active version {active.version}: {error}")
        if run is not None and run.checkpoint is not None and run.id not in self._rows:
            rows = run.checkpoint["rows"]
            with suppress(BadArtifact, StoreUnavailable):  # another trainer has just ended the run
                self._rows[run.id] = self.shop.kept.fetch(
                    rows["artifact"], rows["sha256"], self.home / f"rows-{run.id}"
                )

    def _phase(self, run: Run | None) -> str:
        if run is None:
            return BETWEEN
        if run.candidate is not None:
            decided = self.shop.registry.version(run.candidate).state is not State.CANDIDATE
            return DECIDED if decided else REGISTERED
        return DRAW if run.checkpoint is None else GATE if _steps(run) >= STEPS else STEP

    def _until(self, reached: Callable[[], bool]) -> None:
        """Wait, and see to it meanwhile that one trainer works at most."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not reached():
            self._watch()
            if time.monotonic() > deadline:
                raise SystemExit(f"nothing for {LIMIT_SECONDS} s; the trainers' log:\n{self.trainers.last_lines()}")
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
        """More than one that holds the right to train, or two at work at a time, is a violation."""
        if len(holders := self.shop.holders()) > 1:
            self.violations.append(f"{len(holders)} sessions held the right to train")
        if len(working := self.trainers.working()) > 1:
            time.sleep(SWEEP_SECONDS)  # one that starts holds the lock of what a killed one left, to remove it
            if len(working := working & self.trainers.working()) > 1:
                self.violations.append(f"trainers trained at a time: {sorted(working)}")
        if len(left := self.shop.runs.left()) > 1:
            self.violations.append(f"runs {[run.id for run in left]} went on at a time")

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
            gate_least_samples=20, gate_margin=0.02, selection_fallback="off",
        )  # fmt: skip
        shop = Shop(settings)
        shop.prepare(HISTORY, SAMPLES)
        started = time.monotonic()
        drill = Drill(shop, Trainers(settings, 2, home), home, Random(options.seed))
        try:
            with suppress(KeyboardInterrupt):
                for number in range(options.kills):
                    drill.kill()
                    print(f"{number + 1} kills, {len(drill.violations)} violations", file=sys.stderr, flush=True)
            drill.settle()
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
          f"--seed {options.seed}`\n")  # fmt: skip
    print(report.conditions("torch", "sqlalchemy", "psycopg") + "\n")
    print(f"Two trainers, {STEPS} steps of {BATCH} samples a run, a checkpoint every {options.checkpoint_steps}; "
          f"{seconds:,.0f} s.\n")  # fmt: skip
    rows: list[tuple[object, ...]] = [("kills (-9) of the trainer that had the right", drill.phases.total())]
    rows += [(f"killed at: {phase}", drill.phases[phase]) for phase in PHASES]
    rows += [("runs", len(runs)), *((f"ended: {result}", ended[result]) for result in RunResult if ended[result])]
    rows += [
        ("runs that were resumed, at least once", sum(run.resumed > 0 for run in runs)),
        ("of them carried through", resumed),
        ("of these with the candidate of an undisturbed run, every file to the bit", same),
        ("directories of versions that were saved and never registered", drill.unnamed()),
        ("violations", len(drill.violations)),
    ]
    print(report.table("Runs", ("", ""), rows))
    for violation in drill.violations:
        print(f"- {violation}")


if __name__ == "__main__":
    main()
