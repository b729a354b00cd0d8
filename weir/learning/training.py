"""One training run: draw the buffer, fine-tune, evaluate, register the candidate, and promote it by the gate."""

from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event

from importance.errors import BadArtifact, Conflict, Unavailable
from importance.lineage import Lineage
from importance.strata import HOLDOUT, UNIFORM
from importance.task_labels import unknown_observed
from importance.weights import TrainingWeights
from monitoring.metrics import TrainerMetrics
from storage.artifacts import Artifacts
from storage.buffer_reader import BufferReader, Draw
from storage.erasure import Erasure
from storage.lineage import Lineages
from storage.lock import TrainerLock
from storage.registry import Active, Registry
from storage.runs import LEARNED, Run, RunResult, Runs
from storage.snapshot import Snapshot
from trainer import version_directory as versions
from trainer.control_arm import compare_arms
from trainer.cycle import Candidate, Held, Start, learn
from trainer.device import Device
from trainer.labelled import Labelled
from trainer.memory import mean_importance
from trainer.tuning import TrainingRows
from weir.learning.base_version import RejectedCandidate, base_version
from weir.learning.checkpoints import Resumption, RunCheckpoints
from weir.learning.control import Arms, Control
from weir.learning.interruption import Interruption
from weir.learning.lineage import lineage
from weir.learning.records import Outcome, RunInputs, candidate_metrics, gate_difference
from weir.learning.recovery import DECIDED
from weir.learning.shadow_watch import ShadowWatch
from weir.learning.store_health import StoreHealth
from weir.learning.validation import split_holdout
from weir.learning.weights import row_weights
from weir.operations import Operations
from weir.process import logs
from weir.process.scratch import scratch
from weir.settings import Settings, training, values

_log = logs.logger(__name__)

_NAMES_SHOWN = 10
"""A producer may write anything into an attribute; a log line stays readable."""
ACTOR = "trainer"


@dataclass(frozen=True)
class Training:
    """The dependencies of a training run. ``store`` is the health of ``artifacts``; ``stop`` interrupts a run."""

    settings: Settings
    registry: Registry
    runs: Runs
    reader: BufferReader
    artifacts: Artifacts
    store: StoreHealth
    checkpoints: RunCheckpoints
    operations: Operations
    watch: ShadowWatch
    control: Control
    lineages: Lineages
    erasure: Erasure
    lock: TrainerLock
    metrics: TrainerMetrics
    device: Device
    stop: Event

    def resume(self, active: Active, run: Run, number: int) -> Outcome:
        """Continue a run from its checkpoint, on the data that it started with, unless any was erased since.

        Raises as `carry_out` does.
        """
        found = self.checkpoints.load(run, number)
        drawn = (found.snapshot.drawn, found.snapshot.uniform, found.snapshot.validation)
        if erased := self.erasure.count([sample for draw in drawn for sample in draw.samples]):
            return Outcome(RunResult.ABANDONED, f"{erased} of the rows that it drew were erased before it was resumed")
        return self.carry_out(active, found.snapshot.drawn, found.snapshot.watermark, run.id, found)

    def carry_out(
        self, active: Active, drawn: Draw, watermark: int, run: int, resumption: Resumption | None = None
    ) -> Outcome:
        """Train on the drawn buffer; rows after ``watermark`` are fresh.

        Raises BadArtifact, StoreUnavailable, Unavailable when the right to train is lost, OSError when a disk is full.
        """
        number = 0 if resumption is None else resumption.number
        validation, holdout = self._holdout(resumption)
        uniform = self.reader.draw((UNIFORM,)) if resumption is None else resumption.snapshot.uniform
        arms = self.control.plan(len(uniform))
        trained, other = (uniform, drawn) if arms.uniform_only else (drawn, uniform)
        weights = row_weights(self.settings, trained.samples, trained.probability)
        self._report_weights(weights)
        self._report_observed(trained)
        tuning, seed = training.tuning(self.settings), self.settings.seed + run
        held = Held(holdout=_labelled(holdout), uniform=_labelled(uniform), validation=_labelled(validation))
        trusted = self.watch.trusted(active)
        parent = self._parent(active, trusted)
        snapshot = Snapshot(self._configuration(run, parent, arms), watermark, drawn, uniform, validation)
        if resumption is not None and resumption.snapshot.configuration != snapshot.configuration:
            unchanged = self._configuration(run, self._parent(active, active), arms)
            return _changed(active, trusted, resumption.snapshot.configuration == unchanged)
        interruption = Interruption(self.watch, self.stop, active, trusted)
        with scratch("train") as directory:
            serving = self._fetch_trusted(active, trusted, directory)
            # Before the work whose result could not be stored.
            self.store.require(sum(file.stat().st_size for file in serving.rglob("*")))
            base = serving if parent == trusted.version else self._fetch(parent, directory)
            candidate = learn(
                Start(serving, base, self.checkpoints.of(run, snapshot, resumption)),
                _rows(trained, weights, watermark),
                held,
                tuning,
                training.gate(self.settings),
                seed,
                interruption,
                self.device,
            )
            if not candidate.tuned.finished:
                return interruption.outcome
            made_of = lineage(trained, weights.values, candidate.tuned.rows, uniform, values.pseudonyms(self.settings))
            version = self._register(run, number, parent, candidate, directory / "candidate", made_of)
            outcome = self._decide(trusted, version, candidate)
            if (found := candidate.tuned.evaluations) is not None:
                outcome = replace(outcome, notes=(found.reason,))
                _log.info("early stop", run=run, ended=found.reason, losses=[round(loss, 4) for loss in found.losses])
            if arms.compares:
                try:
                    other_weights = row_weights(self.settings, other.samples, other.probability)
                    rows = _rows(other, other_weights, watermark)
                    tuned, start = candidate.tuned.model, Start(serving, base)
                    compared = compare_arms(tuned, start, rows, held, tuning, seed, self._stops, self.device)
                    self.control.record(run, arms, compared)
                except Unavailable:
                    raise
                except Exception:  # of any kind: the run is decided, and its record must say how
                    _log.exception("the control arm failed", run=run)
        return outcome

    def _holdout(self, resumption: Resumption | None) -> tuple[Draw, Draw]:
        """Return what an early stop is decided by, of the first draw of the run, and what the gate judges by."""
        validation, judged = split_holdout(self.reader.draw((HOLDOUT,)), self.settings)
        return validation if resumption is None else resumption.snapshot.validation, judged

    def _stops(self) -> bool:
        """Return whether to end the control arm, of a run that is decided, before the next step."""
        self.watch.poll_between_steps()
        return self.stop.is_set()

    def _decide(self, trusted: Active, version: str, candidate: Candidate) -> Outcome:
        """Promote or reject the candidate as the gate decided, unless what it started from turned out bad."""
        if not candidate.decision.promote:
            return self._reject(version, RunResult.REJECTED, candidate.decision.reason)
        if (doubt := self.watch.doubt(trusted.version)) is not None:
            return self._reject(version, RunResult.SUPERSEDED, doubt)
        if self.settings.shadow == "on":
            return self._shadow(trusted, version, candidate.decision.reason)
        return self._promote(trusted, version, candidate.decision.reason)

    def _configuration(self, run: int, parent: str, arms: Arms) -> str:
        """Describe what the weights depend on besides the data, to be compared."""
        settings = self.settings
        return (
            f"{training.tuning(settings)} seed={settings.seed + run} base={parent} uniform_only={arms.uniform_only} "
            f"half_life={values.half_life_seconds(settings)} propensity_clip={settings.propensity_clip}"
        )

    def _report_weights(self, weights: TrainingWeights) -> None:
        """Set the metrics of the weights, and log the remedy when few rows make up most of the loss."""
        metrics = self.metrics
        metrics.training_rows.set(len(weights.values))
        metrics.training_effective_sample_size.set(weights.effective_sample_size)
        metrics.training_weight_clip.set(weights.clip)
        metrics.training_clipped_ratio.set(weights.clipped_mass)
        if weights.is_concentrated:
            _log.warning(
                "few rows count for most of the training loss: raise WEIR_SELECTION_FLOOR or WEIR_HALF_LIFE_SECONDS, "
                "or lower WEIR_PROPENSITY_CLIP",
                rows=len(weights.values), effective_sample_size=round(weights.effective_sample_size, 1),
                floor=self.settings.selection_floor, propensity_clip=self.settings.propensity_clip,
            )  # fmt: skip

    def _report_observed(self, drawn: Draw) -> None:
        """Log which names in the attribute ``observed`` are unknown, where further tasks are learned."""
        if not self.settings.train_tasks:
            return
        names, rows = unknown_observed(drawn.samples)
        if rows:
            _log.warning(
                "unknown names in the attribute observed: the labels of the tasks that it does not name are missing; "
                "name them click, add_to_cart, purchase",
                names=names[:_NAMES_SHOWN], rows=rows, of=len(drawn.samples),
            )  # fmt: skip

    def _parent(self, active: Active, trusted: Active) -> str:
        """Return the name of the version that the fine-tune starts from.

        A candidate that was not good enough yet is not continued while the active version is not ``trusted``.
        """
        if trusted != active:
            return trusted.version
        return base_version(active.version, active.sequence, self._rejected(), self.settings.gate_margin)

    def _fetch(self, version: str, directory: Path) -> Path:
        found = self.registry.version(version)
        return self.artifacts.fetch(found.artifact, found.sha256, directory)

    def _fetch_trusted(self, active: Active, trusted: Active, directory: Path) -> Path:
        """Return the files that the fine-tune is judged by; BadArtifact with the remedy where they are damaged."""
        try:
            return self.artifacts.fetch(trusted.artifact, trusted.sha256, directory)
        except BadArtifact as error:
            if trusted == active:
                raise
            raise BadArtifact(
                f"{error}; fine-tunes start from version {trusted.version} because a rollback of {active.version} is "
                f"proposed: restore its files, or end the proposal by 'weir models rollback --to VERSION' or "
                f"'weir models promote VERSION' with an intact one"
            ) from error

    def _rejected(self) -> RejectedCandidate | None:
        last = self.runs.last(LEARNED)
        if last is None or last.result is not RunResult.REJECTED or last.candidate is None:
            return None
        metrics = self.registry.version(last.candidate).metrics
        return RejectedCandidate(last.candidate, RunInputs.of(last).sequence, gate_difference(metrics))

    def _register(
        self, run: int, number: int, parent: str, candidate: Candidate, directory: Path, made_of: Lineage
    ) -> str:
        version = self.registry.new_version()
        artifact, sha256 = self.artifacts.save(version, versions.save(candidate.tuned.model, directory))
        with self.lock.transaction() as session:
            self.registry.register(
                version,
                artifact,
                sha256,
                parent=parent,
                metrics=candidate_metrics(candidate),
                statistics={"mean_importance": mean_importance(candidate.tuned.model)},
                made_of=made_of,
                on=session,
            )
            self.runs.propose(run, number, version, session)
        if erased := self.lineages.erased(version):
            _log.warning(
                "subjects were erased while the version was trained: weir models lineage",
                version=version,
                samples=erased,
            )
        return version

    def _reject(self, version: str, result: RunResult, reason: str) -> Outcome:
        """Reject a candidate, unless an operator has decided about it meanwhile: that is how the run ends then."""
        try:
            self.registry.reject(version)
        except Conflict as error:
            return Outcome(DECIDED[self.registry.version(version).state], str(error), version)
        return Outcome(result, reason, version)

    def _shadow(self, active: Active, version: str, reason: str) -> Outcome:
        """Let live traffic decide, by the same compare-and-set as a promotion."""
        try:
            self.registry.shadow(version, expected_sequence=active.sequence, lock=self.lock)
        except Conflict as error:
            return self._reject(version, RunResult.SUPERSEDED, str(error))
        return Outcome(RunResult.SHADOW, reason, version)

    def _promote(self, active: Active, version: str, reason: str) -> Outcome:
        """Promote by compare-and-set on the log as it was when the run started: a rollback in between wins."""
        try:
            self.operations.promote_new(
                version, actor=ACTOR, reason=reason, expected_sequence=active.sequence, lock=self.lock
            )
        except Conflict as error:
            return self._reject(version, RunResult.SUPERSEDED, str(error))
        return Outcome(RunResult.PROMOTED, reason, version)


def _labelled(drawn: Draw) -> Labelled:
    return Labelled(drawn.samples, drawn.label)


def _changed(active: Active, trusted: Active, otherwise_same: bool) -> Outcome:
    """Return how a run ends that would not continue as it started, perhaps only as a rollback is proposed since."""
    if trusted != active and otherwise_same:
        return Outcome(
            RunResult.ABANDONED,
            f"a rollback of {active.version} was proposed before it was resumed: the next run starts from "
            f"{trusted.version}",
        )
    return Outcome(
        RunResult.FAILED, "the configuration of training, or what it starts from, changed before it was resumed"
    )


def _rows(drawn: Draw, weights: TrainingWeights, watermark: int) -> TrainingRows:
    """Return the rows of a draw for training; those stored after the watermark are fresh."""
    return TrainingRows(drawn.samples, drawn.label, weights.values, drawn.stored > watermark, drawn.prediction)
