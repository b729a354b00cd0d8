"""The trainer: one at a time, it fine-tunes, judges and promotes. Learning itself is `trainer.cycle`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from math import isfinite
from pathlib import Path
from threading import Event
from time import monotonic, time
from typing import Any

from importance.errors import BadArtifact, Conflict, StoreUnavailable
from importance.propensity import exposure
from importance.strata import HOLDOUT, UNIFORM
from importance.weights import TrainingWeights, training_weights
from monitoring.exporter import Exporter
from monitoring.metrics import DependencyMetrics, TrainerMetrics, WorkerMetrics, new_registry
from storage.artifacts import Artifacts
from storage.buffer_reader import BufferReader, Draw
from storage.engine import Engine
from storage.lock import TrainerLock
from storage.progress import samples_decided
from storage.registry import Active, Registry
from storage.requests import Requests
from storage.runs import LEARNED, PROMOTED, REJECTED, RESULTS, SUPERSEDED, Run, Runs
from stream.reports import KAFKA, STORAGE
from trainer import version_directory as versions
from trainer.cycle import Candidate, Held, Start, learn
from trainer.device import choose, use_threads
from trainer.finetune import TrainingRows
from trainer.labelled import Labelled
from trainer.memory import mean_importance
from trainer.triggers import Due, LearningState, Waits, training_due, waits
from weir.operations import Announce, Operations
from weir.process import logs
from weir.process.scratch import scratch
from weir.roles.common import announcing, begin, database, patiently, ready_database, stopped_by_signals
from weir.roles.heart import Heart
from weir.roles.reporting import Reporting
from weir.roles.storing import StoreHealth
from weir.roles.watching import watch_kafka, watched_storage
from weir.settings import Settings, training, values
from weir.settings.connection import kafka_connection

_log = logs.logger(__name__)
_LOOK_SECONDS = 0.3
ACTOR = "trainer"
STORE = "artifacts"


def run(settings: Settings) -> int:
    """Train until a signal; the exit status."""
    begin(settings, "trainer")
    use_threads(settings.threads)
    stop = Event()
    registry = new_registry()
    metrics = TrainerMetrics(registry, RESULTS)
    dependencies = (KAFKA, STORAGE) if settings.kafka_bootstrap else (STORAGE,)
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(registry, dependencies))
    engine = database(settings, "trainer")
    with (
        stopped_by_signals(stop.set),
        Exporter(registry, reporting.reasons, settings.metrics_host, settings.metrics_port) as page,
        watched_storage(engine, reporting),
        _announcing(settings, engine, reporting) as announce,
        Heart(settings.database_url, "trainer", reporting.beat),
    ):
        _log.info("page is served", url=page.url)
        if patiently(lambda: ready_database(engine), "storage", settings, stop, reporting) is None:
            return 0
        with TrainerLock(engine) as lock:
            trainer = Trainer(settings, engine, lock, metrics, reporting, stop, announce)
            reporting.started()
            while not stop.wait(_LOOK_SECONDS):
                patiently(trainer.turn, "storage", settings, stop, reporting)
    return 0


@contextmanager
def _announcing(settings: Settings, engine: Engine, reporting: Reporting) -> Iterator[Announce]:
    """Yield what announces a promotion. A trainer needs no Kafka; where it knows one it watches and reports it."""
    if not settings.kafka_bootstrap:
        yield lambda _: None
        return
    with watch_kafka(kafka_connection(settings), reporting) as kafka:
        yield announcing(settings, Registry(engine), kafka)


class Trainer:
    """What a trainer does at each look: take the right if it is free, and train when it is due.

    ``announce`` is given each promotion.
    """

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
        self._stop = stop
        self._registry, self._runs, self._reader = Registry(engine), Runs(engine), BufferReader(engine)
        self._requests = Requests(engine)
        self._artifacts = Artifacts(settings.artifacts_url)
        self._operations = Operations(engine, self._artifacts, _log.warning, announce)
        self._device = choose(settings.device)
        self._leads = False
        self._store = StoreHealth(self._artifacts, partial(reporting.change, STORE), settings.retry_limit_seconds)
        self._holds = False  # the right to train, also in the middle of a look
        self._waits: Waits | None = None
        reporting.training = self._standing

    def _standing(self) -> dict[str, Any]:
        """For the heartbeat: whether this trainer has the right to train, and what its next run waits for."""
        found = self._waits
        return {"leads": self._holds, "waits": None if found is None else asdict(found)}

    def turn(self) -> bool:
        """One look; True when it ended as it should. Raises Unavailable."""
        led, self._leads = self._leads, False  # after a look that failed, a run may stand there unended
        self._holds = self._lock.acquire()
        if not self._holds:
            self._waits = None
            return True
        if not led:
            _log.info("this trainer has the right to train")
            self._runs.abandon()
        self._look()
        self._leads = True
        return True

    def _look(self) -> None:
        takes_files = self._store.takes_files()  # also while no run is due: readiness follows the store
        active = self._registry.active()
        if active is None:
            return
        last, learned = self._runs.last(), self._runs.last(LEARNED)
        failed = last is not None and last.result not in LEARNED
        state, policy = self._state(active, last, learned), training.trigger(self._settings, failed)
        self._waits = waits(state, policy, time())
        due = training_due(state, policy, time())
        if due is not None and takes_files:  # else it would be in vain
            self._train(active, due, int(learned.inputs["cut"]) if learned else 0)

    def _state(self, active: Active, last: Run | None, learned: Run | None) -> LearningState:
        return LearningState(
            samples=samples_decided(self._engine),
            samples_at_last=int(learned.inputs["samples"]) if learned else 0,
            trainable=self._reader.trainable(at_most=self._settings.train_least_samples),
            last_started=last.started.timestamp() if last else None,
            last_ended=last.ended.timestamp() if last and last.ended else None,
            asked=self._requests.waits(),
            frozen=active.frozen,
        )

    def _train(self, active: Active, due: Due, cut: int) -> None:
        began = monotonic()
        drawn = self._reader.draw()
        run = self._runs.start(due.trigger, {**due.inputs, "sequence": active.sequence, "cut": drawn.cut})
        result, reasons, version = "failed", ["an error ended it; see the log"], None
        try:
            result, reasons, version = self._learn(active, drawn, cut, run)
        except BadArtifact as error:
            reasons = [str(error)]
        except StoreUnavailable as error:
            reasons = [str(error)]
            self._store.refused(error)
        finally:
            self._metrics.training_runs.labels(result).inc()
            self._metrics.training_seconds.observe(monotonic() - began)
            self._runs.finish(run, result, reasons, version)
            if result in LEARNED:
                self._reporting.progress()
            else:
                self._reporting.failed(f"run {run} {result}: {reasons[0]}")
        _log.info(
            "training ended", run=run, trigger=due.trigger, result=result, version=version, reason=reasons[0],
            seconds=round(monotonic() - began, 2),
        )  # fmt: skip

    def _learn(self, active: Active, drawn: Draw, cut: int, run: int) -> tuple[str, list[str], str | None]:
        """Fine-tune, judge, register, and promote; result, reasons, version."""
        settings = self._settings
        held = self._reader.draw((HOLDOUT,))
        plain = self._reader.draw((UNIFORM,))
        weights = training_weights(
            drawn.probability,
            drawn.time_ms,
            values.half_life_seconds(settings),
            exposure(drawn.samples, settings.propensity_clip),
        )
        self._tell(weights)
        with scratch("train") as folder:
            serving = self._artifacts.fetch(active.artifact, active.sha256, folder)
            # Before the work whose result could not be stored.
            self._store.require(sum(file.stat().st_size for file in serving.rglob("*")))
            parent, base = self._base(active, serving, folder)
            candidate = learn(
                Start(serving, base),
                _rows(drawn, cut, weights),
                Held(Labelled(held.samples, held.label), Labelled(plain.samples, plain.label)),
                training.tuning(settings),
                training.gate(settings),
                settings.seed + run,
                self._stop,
                self._device,
            )
            if not candidate.tuned.finished:
                return "interrupted", ["told to stop"], None
            version = self._register(parent, candidate, folder / "candidate")
        if not candidate.decision.promote:
            self._registry.reject(version)
            return REJECTED, [candidate.decision.reason], version
        return self._promote(active, version, candidate.decision.reason)

    def _tell(self, weights: TrainingWeights) -> None:
        """Show what the weights are like, and say what to do when few rows count for most of the loss."""
        metrics = self._metrics
        metrics.training_rows.set(len(weights.values))
        metrics.training_effective_sample_size.set(weights.effective_sample_size)
        metrics.training_weight_clip.set(weights.clip)
        metrics.training_clipped_ratio.set(weights.clipped_mass)
        if weights.is_concentrated:
            _log.warning(
                "few rows count for most of the training loss: raise WEIR_SELECTION_FLOOR or WEIR_HALF_LIFE_SECONDS, "
                "or lower WEIR_PROPENSITY_CLIP",
                rows=len(weights.values), effective_sample_size=round(weights.effective_sample_size, 1),
                floor=self._settings.selection_floor, propensity_clip=self._settings.propensity_clip,
            )  # fmt: skip

    def _base(self, active: Active, serving: Path, scratch: Path) -> tuple[str, Path]:
        """Where to go on: at the last candidate if it was only not good enough yet, else at the serving version.

        A candidate that is clearly worse than the margin is dropped; so is one of before a promotion or a rollback.
        """
        last = self._runs.last(LEARNED)
        if last is None or last.result != REJECTED or last.candidate is None:
            return active.version, serving
        candidate = self._registry.version(last.candidate)
        if last.inputs.get("sequence") != active.sequence:
            return active.version, serving
        if not float(candidate.metrics.get("difference") or 0.0) > -self._settings.gate_margin:
            return active.version, serving
        return candidate.version, self._artifacts.fetch(candidate.artifact, candidate.sha256, scratch)

    def _register(self, parent: str, candidate: Candidate, folder: Path) -> str:
        version = self._registry.new_version()
        artifact, sha256 = self._artifacts.save(version, versions.save(candidate.tuned.model, folder))
        figures: Mapping[str, object] = asdict(candidate.evaluation) if candidate.evaluation else {}
        self._registry.register(
            version,
            artifact,
            sha256,
            parent=parent,
            metrics={
                "gate": candidate.decision.reason,
                "difference": _finite(candidate.decision.difference),
                "training_loss": candidate.tuned.loss,
                **figures,
            },
            statistics={"mean_importance": mean_importance(candidate.tuned.model)},
        )
        return version

    def _promote(self, active: Active, version: str, reason: str) -> tuple[str, list[str], str]:
        """By compare-and-set on the log as it was when the training began: a rollback in between wins."""
        try:
            self._operations.promote_new(
                version, actor=ACTOR, reason=reason, expected_sequence=active.sequence, lock=self._lock
            )
        except Conflict as error:
            self._registry.reject(version)
            return SUPERSEDED, [str(error)], version
        return PROMOTED, [reason], version


def _rows(drawn: Draw, cut: int, weights: TrainingWeights) -> TrainingRows:
    """The buffer as training rows: weights undo the draw, over the whole buffer; fresh is what came after the cut."""
    return TrainingRows(drawn.samples, drawn.label, weights.values, drawn.stored > cut)


def _finite(value: float) -> float | None:
    """JSON knows no NaN."""
    return value if isfinite(value) else None
