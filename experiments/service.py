"""The service's loop over a stream, in arrays: predict, score, admit, fine-tune, again and again; what follows decides.

A bounded buffer with the service's strata and keys, its training weights and its mixed batches; a head on frozen
vectors is the model, so that a year of a shop takes seconds.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from experiments.head import HeadLearner
from experiments.learner import LEARNING_RATE
from importance import estimators
from importance.arrays import Booleans, Floats, Integers
from importance.control_arm import Compared
from importance.evidence import paired_auc
from importance.race.policy import Policy
from importance.race.seen import Seen
from importance.race.track import Block
from importance.selection import proportional
from importance.thresholds import inclusion_probabilities
from importance.weights import training_weights
from trainer.tuning import FineTuning
from trainer.tuning.batches import mixed_batches

ROUND = 1_500
"""Samples between two fine-tunes, as `WEIR_TRAIN_AFTER_SAMPLES` has it."""
CAPACITIES = {"uniform": 2_000, "positive": 3_000, "negative": 3_000, "holdout": 2_000}
_MEASURED = 1_000
_BLOCK = 250


@dataclass(frozen=True, eq=False, slots=True)
class Stream:
    """Rows of a learner in order of time, all arrays [n]: ``labels`` as they are seen, subjects and event times.

    ``held`` are of the holdout's subjects, ``uniform`` of the uniform stratum; ``draws`` and ``race_draws`` in (0, 1).
    ``before`` are rows that the learner has learned from already.
    """

    rows: Integers
    labels: Integers
    subjects: Integers
    times_ms: Integers
    held: Booleans
    uniform: Booleans
    draws: Floats
    race_draws: Floats
    before: tuple[Integers, Integers]

    @classmethod
    def of(cls, rows: Integers, labels: Integers, subjects: Integers, times_ms: Integers,
           before: tuple[Integers, Integers], seed: int) -> "Stream":  # fmt: skip
        """Draw what the service's hashes would give."""
        random = np.random.default_rng([seed, 11])
        chosen = random.random(int(subjects.max()) + 1) < 0.1
        draws = random.random((3, len(rows)))
        return cls(
            rows, labels, subjects, times_ms, chosen[subjects], draws[0] < 0.2, 1 - draws[1], 1 - draws[2], before
        )


@dataclass(slots=True)
class Stratum:
    """The ``capacity`` largest keys, and the largest that is not among them. ``index`` are positions in the stream."""

    capacity: int
    index: Integers = field(default_factory=lambda: np.empty(0, np.int64))
    log_weight: Floats = field(default_factory=lambda: np.empty(0))
    key: Floats = field(default_factory=lambda: np.empty(0))
    kappa: float = -np.inf

    def offer(self, index: Integers, log_weight: Floats, draws: Floats) -> None:
        """Offer samples of the stream, and trim."""
        self.index = np.concatenate([self.index, index])
        self.log_weight = np.concatenate([self.log_weight, log_weight])
        self.key = np.concatenate([self.key, log_weight - np.log(draws)])
        if len(self.key) > self.capacity:
            self.kappa = max(self.kappa, float(np.sort(self.key)[-self.capacity - 1]))
        kept = self.key > self.kappa
        self.index, self.log_weight, self.key = self.index[kept], self.log_weight[kept], self.key[kept]

    @property
    def probability(self) -> Floats:
        """Return the chance of each row to be held."""
        return inclusion_probabilities(self.log_weight, self.kappa)


@dataclass(frozen=True, slots=True)
class Followed:
    """What the next fine-tune does: train by a policy, or on uniform samples only; and whether both arms are made."""

    policy: Policy
    uniform_only: bool = False
    control: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Round:
    """What is known after a round was scored: its block for a race, and the comparisons of both arms so far."""

    number: int
    block: Block
    results: tuple[Compared, ...]


Follow = Callable[[Round], Followed]
Weigh = Callable[[Seen, Policy], Floats]
"""Returns the weights [n] by which a policy keeps samples."""


def proportional_weights(seen: Seen, policy: Policy) -> Floats:
    """Return w = (1 − ε)·s / mean(s) + ε."""
    return proportional(seen.scores[policy.estimator], seen.means[policy.estimator], policy.floor)


def top_weights(seen: Seen, policy: Policy, fraction: float = 0.2) -> Floats:
    """Return 1 for the largest scores of the round and 0 for the others: biased on purpose."""
    scores = seen.scores[policy.estimator]
    return (scores >= np.quantile(scores, 1 - fraction)).astype(np.float64)


class Service:
    """One run over a stream. ``names`` are the estimators that are scored."""

    def __init__(self, stream: Stream, learner: HeadLearner, names: tuple[str, ...], half_life_seconds: float,
                 seed: int, weigh: Weigh = proportional_weights) -> None:  # fmt: skip
        self._stream, self._learner, self._seed = stream, learner, seed
        self._estimators = tuple(map(estimators.get, names))
        self._decay_per_ms = np.log(2) / half_life_seconds / 1_000
        self._tuning, self._weigh = FineTuning(), weigh
        self._strata = {name: Stratum(capacity) for name, capacity in CAPACITIES.items()}
        self._results: list[Compared] = []

    def run(self, follow: Follow) -> Floats:
        """Return the predictions [n], each made before anything learned from the sample."""
        prediction = np.empty(len(self._stream.rows))
        for number, index in enumerate(np.array_split(np.arange(len(prediction)), max(1, len(prediction) // ROUND))):
            prediction[index] = self._learner.predict(self._stream.rows[index])
            seen = self._score(index)
            follows = follow(Round(number, self._block(index, seen), tuple(self._results)))
            self._admit(index, seen, follows.policy)
            self._learn(number, index, follows)
        return prediction

    def _score(self, index: Integers) -> Seen:
        stream, learner = self._stream, self._learner
        measured, labels = stream.before
        if len(held := self._strata["uniform"].index) >= _MEASURED:
            measured, labels = stream.rows[held[-_MEASURED:]], stream.labels[held[-_MEASURED:]]
        means = learner.score(measured[-_MEASURED:], labels[-_MEASURED:], self._estimators)
        return Seen(
            version=str(index[0]),
            last_layer=learner.last_layer(),
            hidden=learner.hidden(stream.rows[index]),
            scores=learner.score(stream.rows[index], stream.labels[index], self._estimators),
            means={name: float(scores.mean()) for name, scores in means.items()},
        )

    def _block(self, index: Integers, seen: Seen) -> Block:
        stream = self._stream
        return Block(
            stream.subjects[index], stream.labels[index], stream.times_ms[index], stream.race_draws[index], seen
        )

    def _admit(self, index: Integers, seen: Seen, policy: Policy) -> None:
        stream = self._stream
        weight = self._weigh(seen, policy)
        age = self._decay_per_ms * (stream.times_ms[index] - stream.times_ms[0])
        held, uniform, positive = stream.held[index], stream.uniform[index], stream.labels[index] == 1
        strata = {"holdout": held, "uniform": ~held & uniform, "positive": ~held & ~uniform & positive,
                  "negative": ~held & ~uniform & ~positive}  # fmt: skip
        for name, inside in strata.items():
            weighted = name in ("positive", "negative")
            of = inside & (weight > 0) if weighted else inside
            log_weight = age[of] + (np.log(weight[of]) if weighted else 0.0)
            self._strata[name].offer(index[of], log_weight, stream.draws[index[of]])

    def _learn(self, number: int, index: Integers, follows: Followed) -> None:
        everything = ("uniform", "positive", "negative")
        arms = [("uniform",), everything] if follows.uniform_only else [everything, ("uniform",)]
        half_life = follows.policy.half_life_seconds
        other = self._learner.clone() if follows.control else None
        self._tune(self._learner, arms[0], number, index, half_life)
        if other is not None:
            self._tune(other, arms[1], number, index, half_life)
            selected, uniform = (other, self._learner) if follows.uniform_only else (self._learner, other)
            self._compare(selected, uniform)

    def _tune(self, learner: HeadLearner, names: tuple[str, ...], number: int, index: Integers,
              half_life_seconds: float | None) -> None:  # fmt: skip
        stream = self._stream
        strata = [self._strata[name] for name in names]
        held = np.concatenate([stratum.index for stratum in strata])
        probability = np.concatenate([stratum.probability for stratum in strata])
        weights = training_weights(probability, stream.times_ms[held], half_life_seconds).values
        random = np.random.default_rng([self._seed, number])
        batches = np.concatenate(list(mixed_batches(held >= index[0], self._tuning, random)))
        at = held[batches]
        learner.learn(stream.rows[at], stream.labels[at], weights[batches], LEARNING_RATE)

    def _compare(self, selected: HeadLearner, uniform: HeadLearner) -> None:
        held, stream = self._strata["holdout"].index, self._stream
        if len(held) < 200:
            return
        found = paired_auc(
            stream.labels[held], selected.predict(stream.rows[held]), uniform.predict(stream.rows[held]),
            stream.subjects[held],
        )  # fmt: skip
        self._results.append(Compared(found.difference, max(found.standard_error, 1e-6)))


def blocks(block: Block) -> Mapping[int, Block]:
    """Return a round as the worker's calls would have it."""
    parts = {}
    for start in range(0, len(block.labels), _BLOCK):
        at, seen = slice(start, start + _BLOCK), block.seen
        part = Seen(
            seen.version, seen.last_layer, seen.hidden[at], {k: v[at] for k, v in seen.scores.items()}, seen.means
        )
        parts[start] = Block(block.subjects[at], block.labels[at], block.times_ms[at], block.draws[at], part)
    return parts
