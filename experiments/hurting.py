"""A stream that is built so that selection hurts for a while: what scores high there has labels that mean nothing.

The task drifts, so what the model gets wrong is what it should learn, and the top fraction of losses teaches most. In
the middle part a share of the labels is wrong: these have the largest losses, and a top fraction is made of them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.head import HeadLearner, HeadLearners
from experiments.service import Stream
from experiments.stage import train_on_all

WIDTH = 16
_SUBJECT_SAMPLES = 5
_WRONG = 0.3
_SHARPNESS = 12.0


@dataclass(frozen=True, slots=True)
class Parts:
    """Samples before, while and after labels are wrong."""

    before: int = 6_000
    noisy: int = 15_000
    after: int = 24_000


def hurting_stream(seed: int, parts: Parts = Parts(), history: int = 2_000) -> tuple[Stream, HeadLearner]:
    """Return the stream of a seed, a day in 2,000 samples, and a head that has learned from a history before it."""
    random = np.random.default_rng([seed, 17])
    count = history + parts.before + parts.noisy + parts.after
    vectors = random.standard_normal((count, 2, WIDTH)) / WIDTH**0.5
    angle = np.arange(count) * 2 * np.pi / 400_000  # the task turns slowly
    first, second = random.standard_normal((2, WIDTH))
    direction = np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second
    chance = 1 / (1 + np.exp(-_SHARPNESS * (vectors[:, 0] * direction).sum(axis=1)))
    labels = (random.random(count) < chance).astype(np.int64)
    start = history + parts.before
    wrong = np.zeros(count, bool)
    wrong[start : start + parts.noisy] = random.random(parts.noisy) < _WRONG
    labels[wrong] = 1 - labels[wrong]
    learner = HeadLearners(_float32(vectors)).fresh(seed)
    old, rows = np.arange(history), np.arange(history, count)
    train_on_all(learner, old, labels, 2, random)
    times_ms = (rows * (86_400_000 / 2_000)).astype(np.int64)
    return Stream.of(rows, labels[rows], rows // _SUBJECT_SAMPLES, times_ms, (old, labels[old]), seed), learner


def _float32(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return vectors.astype(np.float32)
