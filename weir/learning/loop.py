"""The learning loop: acquire the right to train when it is free, and start a training run when a trigger fires."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from statistics import median
from threading import Event
from time import monotonic, time
from typing import Any

from importance.errors import Conflict, StoreUnavailable, Unavailable, WeirError
from monitoring.metrics import TrainerMetrics
from storage import disk
from storage.artifacts import Artifacts
from storage.audit import Via
from storage.buffer_reader import BufferReader
from storage.control_arm import ControlArm
from storage.engine import Engine
from storage.erasure import Erasure
from storage.lineage import Lineages
from storage.lock import TrainerLock
from storage.progress import decided
from storage.registry import Active, Registry, State
from storage.requests import Requests
from storage.runs import LEARNED, Run, RunResult, Runs
from storage.training_decisions import TrainingDecisions
from trainer.device import choose, device_of
from trainer.triggers import Due, LearningState, Waits, held_back, training_due, waits
from weir.learning.checkpoints import RunCheckpoints
from weir.learning.control import Control
from weir.learning.decisions import STORE as ARTIFACT_STORE
from weir.learning.decisions import DecisionLog
from weir.learning.drift_watch import DriftWatch
from weir.learning.performance_watch import PerformanceWatch
from weir.learning.quarantine_watch import QuarantineWatch
from weir.learning.records import NOTHING_LEARNED, Outcome, RunInputs, run_inputs
from weir.learning.recovery import MAX_REFUSED, ending
from weir.learning.shadow_watch import ShadowWatch
from weir.learning.store_health import StoreHealth
from weir.learning.training import Training
from weir.operations import Announce, Operations
from weir.process import logs, scratch
from weir.roles.reporting import Reporting
from weir.settings import Settings, training, values

_log = logs.logger(__name__)
STORE = "artifacts"
_RUNS_TIMED = 5  # the median of their times is what the next run is expected to take


class LearningLoop:
    """One trainer among several that may wait for the right to train. ``announce`` is given each promotion."""

    def __init__(
        self,
        settings: Settings,
        engine: Engine,
        lock: TrainerLock,
        metrics: TrainerMetrics,
        reporting: Reporting,
        stop: Event,
        announce: Announce,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._lock = lock
        self._metrics = metrics
        self._reporting = reporting
        self._registry, self._runs, self._reader = Registry(engine), Runs(engine), BufferReader(engine)
        self._requests = Requests(engine)
        artifacts = Artifacts(settings.artifacts_url)
        self._store = StoreHealth(artifacts, partial(reporting.change, STORE), settings.retry_limit_seconds)
        self._checkpoints = RunCheckpoints(settings.artifacts_url, self._runs, lock, settings.train_checkpoint_steps)
        operations = Operations(engine, artifacts, _log.warning, Via.TRAINER, announce)
        self._shadow = ShadowWatch(settings, engine, operations, lock)
        device = choose(settings.device)
        device_of(device, settings.train_processes - 1)  # refuses more processes than GPUs
        self._training = Training(
            settings=settings,
            registry=self._registry,
            runs=self._runs,
            reader=self._reader,
            artifacts=artifacts,
            store=self._store,
            checkpoints=self._checkpoints,
            operations=operations,
            watch=self._shadow,
            control=Control(settings, self._runs, ControlArm(engine)),
            lineages=Lineages(engine, values.pseudonyms(settings)),
            erasure=Erasure(engine, values.pseudonyms(settings)),
            lock=lock,
            metrics=metrics,
            device=device,
            stop=stop,
        )
        self._drift = DriftWatch(settings, engine)
        self._quarantine = QuarantineWatch(settings, engine, artifacts, metrics)
        self._performance = None if settings.train_on_drop is None else PerformanceWatch(engine, self._registry)
        self._decisions: DecisionLog | None = None  # while it has the right to train
        self._poll_succeeded = False
        self._recovered = False  # whether no run is left without an end
        self._leads = False  # whether it has the right to train, also during a poll
        self._waits: Waits | None = None
        reporting.training = self._progress

    @property
    def leads(self) -> bool:
        """Return whether this trainer has the right to train."""
        return self._leads

    def _progress(self) -> dict[str, Any]:
        """Return, for the heartbeat, whether this trainer has the right to train, and what its next run waits for."""
        found = self._waits
        return {"leads": self._leads, "waits": None if found is None else asdict(found)}

    def poll(self) -> bool:
        """Train if that is due; True when the poll succeeded. Raises Unavailable."""
        succeeded, self._poll_succeeded = self._poll_succeeded, False  # a failed poll may leave a run without an end
        held = self._lock.held()
        self._leads = held or self._lock.acquire()
        if not self._leads:
            self._waits = self._decisions = None
            return True
        if self._decisions is None or not (held and succeeded):  # another may have trained between two sessions
            _log.info("this trainer has the right to train")
            self._decisions = DecisionLog(TrainingDecisions(self._engine))
            self._recovered = False
        self._recovered = self._recovered or self._recover()
        self._train_if_due(self._decisions)
        self._poll_succeeded = True
        return True

    def _train_if_due(self, decisions: DecisionLog) -> None:
        # Also while no run is due: readiness follows the store. None starts while one is left that waits for it.
        takes_files = self._store.takes_files() and self._recovered
        alarmed = self._drift.poll()  # also while training is frozen
        in_shadow = self._shadow.poll()  # before the active version is read: it may promote
        active = self._registry.active()
        if active is None:
            return
        self._quarantine.poll(active.sequence)
        last, learned = self._runs.last(), self._runs.latest(_RUNS_TIMED, LEARNED)
        before = RunInputs.of(learned[0]) if learned else NOTHING_LEARNED
        failed = last is not None and last.result not in LEARNED
        policy, now = training.trigger(self._settings, failed), time()
        state = self._state(active, last, learned, before, alarmed)
        state = replace(state, waited=decisions.waited(state.last_learned, now), in_shadow=in_shadow)
        self._waits = waits(state, policy, now)
        due, held = training_due(state, policy, now), held_back(state, policy, now)
        if due is not None and not takes_files:
            decisions.add(state, policy, None, ARTIFACT_STORE, now)
            return
        decisions.add(state, policy, due.trigger if due else None, held, now)
        if due is not None:
            self._recovered = self._train(active, due, before.watermark)
            self._shadow.wake()

    def _state(
        self, active: Active, last: Run | None, learned: Sequence[Run], before: RunInputs, alarmed: float | None
    ) -> LearningState:
        found = decided(self._engine)
        return LearningState(
            samples=found.samples,
            samples_at_last=before.samples,
            trainable=self._reader.trainable(at_most=self._settings.train_least_samples),
            last_started=last.started.timestamp() if last else None,
            last_ended=last.ended.timestamp() if last and last.ended else None,
            asked=self._requests.waits(),
            frozen=active.frozen,
            alarmed=alarmed,
            last_learned=learned[0].started.timestamp() if learned else None,
            mass=found.mass,
            mass_at_last=before.mass,
            run_seconds=median(map(_seconds, learned)) if learned else None,
            recent=None if self._performance is None else self._performance.poll(active),
        )

    def _recover(self) -> bool:
        """End the runs that dead trainers left, or resume them; False where one waits, as do those after it."""
        recovered = all(map(self._settle, self._runs.left()))
        if recovered:
            self._clear()  # what was written when a trainer died, and named by no record
        return recovered

    def _settle(self, run: Run) -> bool:
        """End a run that was left; resume one that has a checkpoint, where it still counts. False where it waits."""
        active = self._registry.active()
        candidate = None if run.candidate is None else self._registry.version(run.candidate)
        outcome = ending(run, active, candidate)
        if outcome is None:
            return active is not None and self._store.takes_files() and self._resume(active, run)
        if candidate is not None and candidate.state is State.CANDIDATE:
            try:
                self._registry.reject(candidate.version)
            except Conflict:  # an operator has just decided about it
                return self._settle(run)
        self._finish(run.id, outcome, run.resumed)
        _log.info("run of a dead trainer ended", run=run.id, result=outcome.result, reason=outcome.reason)
        return True

    def _resume(self, active: Active, run: Run) -> bool:
        resumed = self._runs.resume(run, self._lock)  # also of one that then cannot be read: not for ever
        if run.candidate is not None:  # it is made again
            with suppress(Conflict):  # an operator has just decided about it
                self._registry.reject(run.candidate)
        self._metrics.training_resumed.inc()
        _log.info("run of a dead trainer is resumed", run=run.id, times=resumed, checkpoint=run.checkpoint)
        return self._carry_out(run.id, run.trigger, lambda: self._training.resume(active, run, resumed), resumed)

    def _train(self, active: Active, due: Due, watermark: int) -> bool:
        """Start a run and carry it out; False when it is left for the next trainer."""
        drawn = self._reader.draw()
        run = self._runs.start(due.trigger, run_inputs(due, active.sequence, drawn.watermark))
        return self._carry_out(run, due.trigger, lambda: self._training.carry_out(active, drawn, watermark, run))

    def _carry_out(self, run: int, trigger: str, train: Callable[[], Outcome], resumed: int = 0) -> bool:
        """Record how a run ended, whatever ends it; False when it is left, to be resumed from its checkpoint."""
        started, ended = monotonic(), False
        outcome: Outcome | None = Outcome(RunResult.FAILED, "an error ended it; see the log")
        try:
            outcome = train()
        except StoreUnavailable as error:  # what a run has done before it was left is not lost
            outcome = self._refused(error, resumed)
        except OSError as error:
            full = disk.refuses(error)
            outcome = self._refused(scratch.refused(error), resumed) if full else Outcome(RunResult.FAILED, str(error))
        except Unavailable:  # the database is, or the right to train is another's: who has it next ends or resumes it
            outcome = None
            raise
        except WeirError as error:
            outcome = Outcome(RunResult.FAILED, str(error))
        except RuntimeError as error:  # of torch, such as a GPU without memory
            outcome = Outcome(RunResult.FAILED, str(error).partition("\n")[0])
            _log.exception("an error ended a run", run=run)
        finally:
            if outcome is not None:
                ended = self._record(run, outcome, monotonic() - started, resumed)
        _log.info(
            "training ended" if ended else "training is left to be resumed", run=run, trigger=trigger,
            result=outcome.result, version=outcome.version, reason=outcome.reason,
            seconds=round(monotonic() - started, 2),
        )  # fmt: skip
        return ended

    def _refused(self, error: StoreUnavailable, resumed: int) -> Outcome:
        """Return how a run ends whose files a disk or the store did not take; until one does no other run starts.

        A resumed one is left to be resumed again, unless it was so often that it may be the run that cannot be stored.
        """
        self._store.refused(error)
        left = 0 < resumed < MAX_REFUSED
        return Outcome(RunResult.INTERRUPTED if left else RunResult.FAILED, str(error))

    def _record(self, run: int, outcome: Outcome, seconds: float, resumed: int) -> bool:
        """Record the end of a run; False, and it has none, where it was interrupted and has a checkpoint."""
        if outcome.result is RunResult.INTERRUPTED and self._checkpoints.leave(run, resumed):
            return False
        self._metrics.training_seconds.observe(seconds)
        self._finish(run, outcome, resumed)
        self._clear()
        if outcome.result in LEARNED:
            self._reporting.progress()
        else:
            self._reporting.failed(f"run {run} {outcome.result}: {outcome.reason}")
        return True

    def _finish(self, run: int, outcome: Outcome, resumed: int) -> None:
        if not self._runs.finish(run, outcome.result, [outcome.reason, *outcome.notes], outcome.version, resumed):
            raise Unavailable(f"run {run} was resumed by another trainer: how it ended here is not recorded")
        self._metrics.training_runs.labels(outcome.result).inc()

    def _clear(self) -> None:
        """Remove the checkpoints of runs that have ended; another time where the store does not answer."""
        try:
            self._checkpoints.clear()
        except StoreUnavailable as error:
            _log.warning("checkpoints of ended runs were not removed", reason=str(error))


def _seconds(run: Run) -> float:
    """Return how long a run that has ended took."""
    assert run.ended is not None
    return (run.ended - run.started).total_seconds()
