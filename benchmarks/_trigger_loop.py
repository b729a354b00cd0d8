"""The service's learning loop over a recorded stream, in memory; without Kafka and Postgres.

Scoring, admission, drift, triggers, the record of decisions, fine-tunes and the gate are the service's own parts, by
its settings. The clock is event time: the trainer polls every six hours of it, and a run is taken to last a minute. The
first version counts as a run at the start of the stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import msgspec
import numpy as np

from datasets import open_dataset
from importance import quality
from importance.arrays import Floats, Integers
from importance.attribution import replay_partition
from importance.drift.block import Block
from importance.drift.evaluation import DriftState, evaluate
from importance.drift.registry import Monitor
from importance.reservoir import Reservoir, admit
from importance.sample import Sample, labels
from importance.scores import BASELINE, Offer, Scores
from importance.strata import HOLDOUT, UNIFORM
from storage.training_decisions import TrainingDecision
from trainer import evaluation
from trainer import version_directory as versions
from trainer.cycle import Candidate, Held, Start, learn
from trainer.device import choose
from trainer.forward import predict
from trainer.labelled import Labelled
from trainer.scorer import Scorer, ScoringConfig
from trainer.triggers import LearningState, RecentQuality, TriggerPolicy, held_back, training_due
from trainer.triggers.simulation import Ran
from trainer.tuning import TrainingRows
from weir.learning.base_version import RejectedCandidate, base_version
from weir.learning.decisions import DecisionLog
from weir.learning.first_version import First, build_first
from weir.learning.records import candidate_metrics, gate_difference
from weir.learning.weights import row_weights
from weir.settings import Settings, training, values
from weir.settings.drift import drift_monitors, drift_sketch

POLL_SECONDS = 6 * 3_600
RUN_SECONDS = 60.0
_TRIM_ABOVE = 1.1  # of the capacity; when it is trimmed changes nothing of what a run draws
_BLOCKS_KEPT = 10  # of a thousand offsets, as `storage.quality` keeps them


@dataclass(frozen=True, eq=False, slots=True)
class Stream:
    """The samples of a stream in order, their ``labels`` [n], and the time of its start in seconds."""

    samples: Sequence[Sample]
    labels: Integers
    start: float

    @classmethod
    def of(cls, name: str, settings: Settings, limit: int | None = None) -> "Stream":
        """Join the events of a data set, at most ``limit`` of them."""
        data = open_dataset(name, settings.seed, settings.data_dir, settings.home)
        records = [(offset, record.time_ms, record.value) for offset, record in enumerate(data.events(limit))]
        samples = replay_partition(records, values.join(settings), until_ms=2**62).samples
        known = np.array(labels(samples, values.positive_from(settings)), np.int64)
        return cls(samples, known, data.stream_start_ms / 1_000)


def first_version(name: str, settings: Settings, into: Path) -> First:
    """Make the first version of the history of a data set, as ``weir models init`` does."""
    data = open_dataset(name, settings.seed, settings.data_dir, settings.home)
    return build_first(settings, lambda: list(data.history()), into, lambda _what, _done, _total: None)


class Record:
    """The decisions of a trainer in memory: rows are kept as the JSON that the table would hold."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []

    def add(self, decision: TrainingDecision) -> None:
        """Append a decision."""
        self._rows.append(msgspec.json.encode(decision))

    def last(self) -> TrainingDecision | None:
        """Return the last decision; None before the first."""
        return _decoded(self._rows[-1]) if self._rows else None

    def all(self) -> list[TrainingDecision]:
        """Return all decisions, oldest first."""
        return list(map(_decoded, self._rows))


_decoded = msgspec.json.Decoder(TrainingDecision).decode


@dataclass(frozen=True, eq=False, slots=True)
class Played:
    """What came of a policy: ``prediction`` [n], each made before anything learned from the sample, and the record."""

    prediction: Floats
    decisions: Sequence[TrainingDecision]
    runs: Sequence[Ran]
    promoted: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class _Active:
    """The version that serves: its AUC when it was evaluated, and the sample before which it was activated."""

    name: str
    directory: Path
    auc: float
    since: int


class Loop:
    """One pass over a stream by one policy of triggers; ``policy`` None never trains. Writes below ``directory``."""

    def __init__(
        self, stream: Stream, first: First, settings: Settings, policy: TriggerPolicy | None, directory: Path
    ) -> None:
        self._stream, self._settings, self._policy, self._directory = stream, settings, policy, directory
        self._on_drift = policy is not None and policy.on_drift
        self._scorer = Scorer(
            ScoringConfig(
                values.mixture(settings),
                settings.top_fraction,
                positive_from=values.positive_from(settings),
                embeddings=self._on_drift,
            ),
            choose(settings.device),
            settings.score_batch,
        )
        self._scorer.swap("v1", first.directory)
        if self._on_drift:
            self._scorer.compare(BASELINE, "v1", first.directory)
        held = np.array(labels(first.holdout, values.positive_from(settings)), np.int64)
        auc = evaluation.evaluate(held, predict(versions.load(first.directory), first.holdout)).auc
        self._active = _Active("v1", first.directory, auc, 0)
        self._reservoir = Reservoir(
            values.capacities(settings), values.positive_from(settings), values.subject_capacities(settings)
        )
        self._admission = values.admission(settings)
        self._drift = DriftInMemory(settings)
        self._position = {sample.id: number for number, sample in enumerate(stream.samples)}
        self._prediction = np.empty(len(stream.samples))
        self._record, self._runs = Record(), list[Ran]()
        self._log = DecisionLog(self._record)
        self._decided, self._mass = 0, 0.0
        self._at_last = (0, 0.0)  # samples and mass when the last run started
        self._rejected: RejectedCandidate | None = None
        self._candidates: dict[str, Path] = {}
        self._promoted, self._cpu_seconds = 0, 0.0

    def play(self) -> Played:
        """Go over the whole stream."""
        window = [int((sample.time_ms / 1_000 - self._stream.start) // POLL_SECONDS) for sample in self._stream.samples]
        ends = np.searchsorted(window, np.arange(window[-1] + 1), side="right").tolist()
        for number, end in enumerate(ends):
            self._score(end)
            self._poll(self._stream.start + (number + 1) * POLL_SECONDS)
        return Played(self._prediction, self._record.all(), self._runs, self._promoted, self._cpu_seconds)

    def _score(self, end: int) -> None:
        """Predict the samples before ``end``, and offer them to the buffer."""
        start, self._decided = self._decided, end
        samples = self._stream.samples[start:end]
        if not samples:
            return
        scores = self._scorer.score(samples)
        self._prediction[start:end] = scores.prediction
        self._mass += scores.mass
        if self._policy is not None:
            self._reservoir.offer(admit(samples, scores, self._admission, self._reservoir.thresholds()))
            if len(self._reservoir) > _TRIM_ABOVE * self._settings.buffer_capacity:
                self._reservoir.trim()
        if self._on_drift:
            self._drift.add(samples, scores)

    def _poll(self, now: float) -> None:
        """Decide as `weir.learning.loop.LearningLoop` does, and train if that is due."""
        policy = self._policy
        if policy is None:
            return
        if self._on_drift:
            self._drift.evaluate(now)
        state = self._state(policy)
        state = replace(state, waited=self._log.waited(state.last_learned, now))
        due, held = training_due(state, policy, now), held_back(state, policy, now)
        self._log.add(state, policy, due.trigger if due else None, held, now)
        if due is not None:
            self._train(now)

    def _state(self, policy: TriggerPolicy) -> LearningState:
        last = self._runs[-1] if self._runs else Ran(self._stream.start, self._stream.start, learned=True)
        return LearningState(
            samples=self._decided,
            samples_at_last=self._at_last[0],
            trainable=min(policy.min_samples, len(self._reservoir)),  # far more than that after the first days
            last_started=last.started,
            last_ended=last.ended,
            asked=False,
            frozen=False,
            alarmed=self._drift.alarmed,
            last_learned=last.started,
            mass=self._mass,
            mass_at_last=self._at_last[1],
            run_seconds=RUN_SECONDS,
            recent=None if policy.drop is None else self._recent(),
        )

    def _recent(self) -> RecentQuality | None:
        """Return how well the active version predicted the last ten thousand offsets."""
        end, block = self._decided, quality.BLOCK_OFFSETS
        oldest = (self._stream.samples[end - 1].offset // block - _BLOCKS_KEPT + 1) * block if end else 0
        start = end
        while start > self._active.since and self._stream.samples[start - 1].offset >= oldest:
            start -= 1
        counts = quality.empty_counts()
        np.add.at(counts, (self._stream.labels[start:end], quality.bin_of(self._prediction[start:end])), 1)
        if not all(counts.sum(axis=1)):
            return None
        return RecentQuality(quality.auc(counts), quality.auc_error(counts), end - start, self._active.auc)

    def _train(self, now: float) -> None:
        """Fine-tune on the buffer, and promote the candidate if the gate lets it."""
        began, number = process_time(), len(self._runs) + 1
        self._reservoir.trim()
        rows = sorted(self._reservoir.rows(), key=lambda row: row.sample.id)
        settings, margin = self._settings, self._settings.gate_margin
        base = base_version(self._active.name, self._promoted, self._rejected, margin)
        candidate = learn(
            Start(self._active.directory, self._candidates.get(base, self._active.directory)),
            self._training_rows([row for row in rows if row.stratum != HOLDOUT]),
            Held(*(_labelled([row for row in rows if row.stratum == stratum]) for stratum in (HOLDOUT, UNIFORM))),
            training.tuning(settings),
            training.gate(settings),
            settings.seed + number,
        )
        self._decide(candidate, f"v{number + 1}")
        self._cpu_seconds += process_time() - began
        self._at_last = self._decided, self._mass
        self._runs.append(Ran(now, now + RUN_SECONDS, learned=True))

    def _training_rows(self, rows: Sequence[Offer]) -> TrainingRows:
        """Return the rows with their weights; those after the last run are fresh."""
        settings, samples = self._settings, [row.sample for row in rows]
        weights = row_weights(settings, samples, np.array([row.probability for row in rows]))
        position = np.array([self._position[sample.id] for sample in samples])
        predictions = np.array([np.nan if row.prediction is None else row.prediction for row in rows])
        known = np.array([row.label for row in rows], np.int64)
        return TrainingRows(samples, known, weights.values, position >= self._at_last[0], predictions)

    def _decide(self, candidate: Candidate, name: str) -> None:
        directory = versions.save(candidate.tuned.model, self._directory / name)
        if not candidate.decision.promote:
            difference = gate_difference(candidate_metrics(candidate))
            self._rejected = RejectedCandidate(name, self._promoted, difference)
            self._candidates = {name: directory}
            return
        assert candidate.evaluation is not None
        self._promoted += 1
        self._active = _Active(name, directory, candidate.evaluation.auc, self._decided)
        self._scorer.swap(name, directory)


class DriftInMemory:
    """The service's monitors over the sums of the stream; ``alarmed`` is when an alarm was last found."""

    def __init__(self, settings: Settings) -> None:
        self._sketch, self._monitors = drift_sketch(settings), tuple[Monitor, ...](drift_monitors(settings))
        self._block_ms = round(settings.drift_block_seconds * 1_000)
        self._horizon_ms = round(settings.deduplication_seconds * 1_000)
        self._blocks: dict[int, dict[str, dict[tuple[str, str], Block]]] = {}
        self._states: Sequence[DriftState] = ()
        self.alarmed: float | None = None

    def add(self, samples: Sequence[Sample], scores: Scores) -> None:
        """Add samples to the sums."""
        for key, block in self._sketch(samples, scores).items():
            sums = self._blocks.setdefault(key.block_ms, {}).setdefault(key.version, {})
            of = key.feature, key.segment
            sums[of] = sums[of] + block if of in sums else block

    def evaluate(self, now: float) -> None:
        """Evaluate the complete blocks."""
        complete_ms = round(now * 1_000) - self._horizon_ms
        ready = {start: self._blocks[start] for start in sorted(self._blocks) if start + self._block_ms <= complete_ms}
        if not ready:
            return
        found = evaluate(self._monitors, self._states, ready)
        self._states = found.states
        for start in ready:
            del self._blocks[start]
        if found.alarms:
            self.alarmed = now


def _labelled(rows: Sequence[Offer]) -> Labelled:
    return Labelled([row.sample for row in rows], np.array([row.label for row in rows], np.int64))
