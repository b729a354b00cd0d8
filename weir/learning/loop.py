"""The learning loop: acquire the right to train when it is free, and start a training run when a trigger fires."""

from dataclasses import asdict
from functools import partial
from threading import Event
from time import monotonic, time
from typing import Any

from importance.errors import BadArtifact, StoreUnavailable
from monitoring.metrics import TrainerMetrics
from storage.artifacts import Artifacts
from storage.audit import Via
from storage.buffer_reader import BufferReader
from storage.engine import Engine
from storage.lock import TrainerLock
from storage.progress import samples_decided
from storage.registry import Active, Registry
from storage.requests import Requests
from storage.runs import LEARNED, Run, RunResult, Runs
from trainer.device import choose
from trainer.triggers import Due, LearningState, Waits, training_due, waits
from weir.learning.drift_watch import DriftWatch
from weir.learning.records import NOTHING_LEARNED, Outcome, RunInputs, run_inputs
from weir.learning.store_health import StoreHealth
from weir.learning.training import Training
from weir.operations import Announce, Operations
from weir.process import logs
from weir.roles.reporting import Reporting
from weir.settings import Settings, training

_log = logs.logger(__name__)
STORE = "artifacts"


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
        self._training = Training(
            settings=settings,
            registry=self._registry,
            runs=self._runs,
            reader=self._reader,
            artifacts=artifacts,
            store=self._store,
            operations=Operations(engine, artifacts, _log.warning, Via.TRAINER, announce),
            lock=lock,
            metrics=metrics,
            device=choose(settings.device),
            stop=stop,
        )
        self._drift = DriftWatch(settings, engine)
        self._poll_succeeded = False
        self._leads = False  # whether it has the right to train, also during a poll
        self._waits: Waits | None = None
        reporting.training = self._progress

    def _progress(self) -> dict[str, Any]:
        """Return, for the heartbeat, whether this trainer has the right to train, and what its next run waits for."""
        found = self._waits
        return {"leads": self._leads, "waits": None if found is None else asdict(found)}

    def poll(self) -> bool:
        """Train if that is due; True when the poll succeeded. Raises Unavailable."""
        succeeded, self._poll_succeeded = self._poll_succeeded, False  # a failed poll may leave a run without an end
        self._leads = self._lock.acquire()
        if not self._leads:
            self._waits = None
            return True
        if not succeeded:
            _log.info("this trainer has the right to train")
            self._runs.abandon()
        self._train_if_due()
        self._poll_succeeded = True
        return True

    def _train_if_due(self) -> None:
        takes_files = self._store.takes_files()  # also while no run is due: readiness follows the store
        alarmed = self._drift.poll()  # also while training is frozen
        active = self._registry.active()
        if active is None:
            return
        last, learned = self._runs.last(), self._runs.last(LEARNED)
        before = RunInputs.of(learned) if learned else NOTHING_LEARNED
        failed = last is not None and last.result not in LEARNED
        state, policy = self._state(active, last, learned, before, alarmed), training.trigger(self._settings, failed)
        self._waits = waits(state, policy, time())
        due = training_due(state, policy, time())
        if due is not None and takes_files:  # otherwise its result could not be stored
            self._train(active, due, before.watermark)

    def _state(
        self, active: Active, last: Run | None, learned: Run | None, before: RunInputs, alarmed: float | None
    ) -> LearningState:
        return LearningState(
            samples=samples_decided(self._engine),
            samples_at_last=before.samples,
            trainable=self._reader.trainable(at_most=self._settings.train_least_samples),
            last_started=last.started.timestamp() if last else None,
            last_ended=last.ended.timestamp() if last and last.ended else None,
            asked=self._requests.waits(),
            frozen=active.frozen,
            alarmed=alarmed,
            last_learned=learned.started.timestamp() if learned else None,
        )

    def _train(self, active: Active, due: Due, watermark: int) -> None:
        """Carry out a run and record how it ended."""
        started = monotonic()
        drawn = self._reader.draw()
        run = self._runs.start(due.trigger, run_inputs(due, active.sequence, drawn.watermark))
        outcome = Outcome(RunResult.FAILED, "an error ended it; see the log")
        try:
            outcome = self._training.carry_out(active, drawn, watermark, run)
        except BadArtifact as error:
            outcome = Outcome(RunResult.FAILED, str(error))
        except StoreUnavailable as error:
            outcome = Outcome(RunResult.FAILED, str(error))
            self._store.refused(error)
        finally:
            self._record(run, outcome, monotonic() - started)
        _log.info(
            "training ended", run=run, trigger=due.trigger, result=outcome.result, version=outcome.version,
            reason=outcome.reason, seconds=round(monotonic() - started, 2),
        )  # fmt: skip

    def _record(self, run: int, outcome: Outcome, seconds: float) -> None:
        self._metrics.training_runs.labels(outcome.result).inc()
        self._metrics.training_seconds.observe(seconds)
        self._runs.finish(run, outcome.result, [outcome.reason], outcome.version)
        if outcome.result in LEARNED:
            self._reporting.progress()
        else:
            self._reporting.failed(f"run {run} {outcome.result}: {outcome.reason}")
