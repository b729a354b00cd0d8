"""The state that all policies of one noise and seed share: labels, mislabelled rows, and the model at the start."""

from dataclasses import dataclass
from math import cos, pi

import numpy as np
from numpy.typing import NDArray

from experiments.examples import Examples, Fold
from experiments.grid import Size
from experiments.learner import BATCH, LEARNING_RATE, Learner, Learners
from experiments.noise import Noise, NoiseKind, flipped
from importance.arrays import Floats, Integers

HISTORY_EPOCHS = 2  # as for the first version
_AMBIGUITY_SEED = 2_147_483_647  # not the seed of any run
MEMORY = 2_000  # as many samples as a version is measured on in the service


@dataclass(frozen=True, eq=False, slots=True)
class Stage:
    """The shared state of all policies of one noise and seed.

    ``labels`` [n] for training, which of them are ``wrong`` [n], and the learner at the start.
    """

    examples: Examples
    labels: Integers
    wrong: NDArray[np.bool_]
    start: Learner


def ambiguity(examples: Examples, learners: Learners) -> Floats:
    """Return how ambiguous each example is [n]: 1 − |2p − 1| of a model trained for one epoch on the true labels."""
    learner = learners.fresh(_AMBIGUITY_SEED)
    train_on_all(learner, _trained_on(examples), examples.labels, 1, np.random.default_rng(0))
    return 1 - np.abs(2 * learner.predict(np.arange(len(examples))) - 1)


def stage(examples: Examples, learners: Learners, confusing: Floats, noise: Noise, seed: int) -> Stage:
    """Prepare one noise and seed. Labels are flipped everywhere except in the test."""
    random = np.random.default_rng([seed, round(1000 * noise.rate), noise.kind is NoiseKind.CONFUSABLE])
    trains = _trained_on(examples)
    wrong = np.zeros(len(examples), bool)
    wrong[trains] = flipped(noise, confusing[trains], random)
    labels = np.where(wrong, 1 - examples.labels, examples.labels)
    start = learners.fresh(seed)
    train_on_all(start, examples.rows(Fold.HISTORY), labels, HISTORY_EPOCHS, random)
    return Stage(examples, labels, wrong, start)


def state_rows(examples: Examples) -> Integers:
    """Return the rows of the holdout that estimator state is computed from: `MEMORY` of them, evenly spread."""
    rows = examples.rows(Fold.HOLDOUT)
    return rows[np.linspace(0, len(rows) - 1, min(MEMORY, len(rows))).round().astype(np.int64)]


def size(examples: Examples) -> Size:
    """Return the number of rows to select from, and to compute estimator state from."""
    return Size(pool=len(examples.rows(Fold.POOL)), memory=len(state_rows(examples)))


def _trained_on(examples: Examples) -> Integers:
    return np.flatnonzero(np.isin(examples.folds, (Fold.HISTORY, Fold.POOL, Fold.HOLDOUT)))


def train_on_all(learner: Learner, rows: Integers, labels: Integers, epochs: int, random: np.random.Generator) -> None:
    """Train on all rows with equal weights, in random order, with a decaying learning rate."""
    order = np.concatenate([random.permutation(rows) for _ in range(epochs)])
    parts = [order[start : start + 16 * BATCH] for start in range(0, len(order), 16 * BATCH)]
    for number, part in enumerate(parts):
        learner.learn(part, labels[part], np.ones(len(part)), decayed(number / len(parts)))


def decayed(progress: float) -> float:
    """Return the learning rate after that share of a run: half a cosine down to 0 (Loshchilov & Hutter 2017).

    >>> round(decayed(0.0) / LEARNING_RATE, 3), round(decayed(0.5) / LEARNING_RATE, 3)
    (1.0, 0.5)
    """
    return LEARNING_RATE * (1 + cos(pi * progress)) / 2
