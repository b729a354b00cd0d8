"""Simulate draws and estimates by the thousand, in whole arrays, to measure the statistics of the buffer.

The numbers u, the inclusion probabilities and the estimates are those of `importance`; the rows held are found by
partial sorting instead of a buffer. Runs differ in the salt only.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from importance.arrays import Floats
from importance.hashing import uniforms
from importance.thresholds import inclusion_probabilities

Rows = NDArray[np.int64]
Probability = Callable[[Floats, Rows, float], Floats]
"""(log weights of the stream, rows held, κ) → p of each row."""


@dataclass(frozen=True, slots=True)
class Bias:
    """The bias of estimates of a known truth, relative to it, and in standard errors of the mean (z)."""

    runs: int
    bias: float
    z: float

    @classmethod
    def of(cls, estimates: Sequence[float] | Floats, truth: float) -> "Bias":
        """Compute the bias of estimates [runs]."""
        found = np.asarray(estimates, dtype=np.float64)
        error = found.mean() - truth
        return cls(len(found), float(error / truth), float(error / (found.std(ddof=1) / sqrt(len(found)))))


def runs_of(count: int, runs: int, name: str = "run") -> Iterator[Floats]:
    """Yield numbers u of the same ids [count], each time by another salt."""
    ids = [f"id-{number}" for number in range(count)]
    for run in range(runs):
        yield uniforms(ids, f"{name} {run}", "draw")


def by_threshold(log_weights: Floats, rows: Rows, kappa: float) -> Floats:
    """Return the correct probability p = min(1, exp(ℓ − κ))."""
    return inclusion_probabilities(log_weights[rows], kappa)


def by_share_of_the_weight(log_weights: Floats, rows: Rows, _kappa: float) -> Floats:
    """Return the naive and wrong probability p = min(1, k·w/Σw)."""
    weights = np.exp(log_weights)
    probabilities: Floats = np.minimum(1, len(rows) * weights[rows] / weights.sum())
    return probabilities


def largest(keys: Floats, capacity: int) -> tuple[Rows, float]:
    """Return the rows of the largest keys, unordered, and κ: the largest key that did not fit."""
    if len(keys) <= capacity:
        return np.arange(len(keys)), -inf
    order = np.argpartition(-keys, capacity)
    return order[:capacity], float(keys[order[capacity]])


def held(log_weights: Floats, u: Floats, capacity: int, probability: Probability = by_threshold) -> tuple[Rows, Floats]:
    """Return the rows held of a stream, and their probabilities."""
    rows, kappa = largest(log_weights - np.log(u), capacity)
    return rows, probability(log_weights, rows, kappa)


def bounded(
    log_weights: Floats, subjects: Rows, u: Floats, capacity: int, bound: int, own: bool = True
) -> tuple[Rows, Floats]:
    """Return the rows held if a subject (0, 1, …) holds at most its ``bound`` largest keys. ``own``: p includes it."""
    keys = log_weights - np.log(u)
    order = np.lexsort((-keys, subjects))
    counts = np.bincount(subjects)
    rank = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    bounds = np.full(len(counts), -inf)
    first_out = order[rank == bound]
    bounds[subjects[first_out]] = keys[first_out]
    left = order[rank < bound]
    inside, kappa = largest(keys[left], capacity)
    rows = left[inside]
    return rows, inclusion_probabilities(log_weights[rows], np.maximum(kappa, bounds[subjects[rows]]) if own else kappa)


def scored_again(
    before: Floats, after: Floats, u: Floats, capacity: int, seen: int, keep_m: bool = True, restart: bool = True
) -> tuple[Rows, Floats]:
    """Return the rows held when a full buffer is rescored after ``seen`` rows of the stream, and then continues.

    ``before`` and ``after`` are the log weights by the old and the new score. Correct is to keep m = ℓ − κ (``keep_m``)
    and to ``restart`` with κ = −∞; otherwise rows stay in a buffer whose κ is of the old scale.
    """
    first, kappa = largest(before[:seen] - np.log(u[:seen]), capacity)
    limit = np.zeros(len(before))
    if keep_m:
        limit[first] = np.minimum(0.0, before[first] - kappa)
    keys = after - np.log(u)
    later = np.arange(seen, len(before))
    if not restart:
        later = later[keys[later] > kappa]
    offered = np.concatenate([first, later])
    inside, threshold = largest(keys[offered], capacity)
    rows = offered[inside]
    return rows, inclusion_probabilities(after[rows], threshold if restart else max(threshold, kappa), limit[rows])


def merged(log_weights: Floats, u: Floats, capacity: int, shared: int, delete: bool = True) -> tuple[Rows, Floats]:
    """Merge two buffers, of the first ``shared`` rows of the stream and of the rest, into one of twice the capacity."""
    keys = log_weights - np.log(u)
    first, one = largest(keys[:shared], capacity)
    second, other = largest(keys[shared:], capacity)
    rows, kappa = np.concatenate([first, second + shared]), max(one, other)
    if delete:
        rows = rows[keys[rows] > kappa]
    return rows, inclusion_probabilities(log_weights[rows], kappa)


def between_trims(log_weights: Floats, u: Floats, capacity: int, skip_evicted: bool = True) -> tuple[Rows, Floats]:
    """Return the rows between two trims: the second half was admitted by older thresholds.

    ``skip_evicted``: readers ignore rows at or below κ.
    """
    keys, half = log_weights - np.log(u), len(u) // 2
    _, thresholds = largest(keys[: half // 4], capacity)
    first, kappa = largest(keys[:half], capacity)
    late = half + np.flatnonzero(keys[half:] > thresholds)
    rows = np.concatenate([first, late])
    if skip_evicted:
        rows = rows[keys[rows] > kappa]
    return rows, inclusion_probabilities(log_weights[rows], kappa)


def twice(log_weights: Floats, again: Floats, u: Floats, capacity: int, first_counts: bool) -> tuple[Rows, Floats]:
    """Deliver every sample twice, the second time with another score; rejected samples are offered again."""
    keys = log_weights - np.log(u)
    second = again - np.log(u)
    rows, kappa = largest(keys if first_counts else np.maximum(keys, second), capacity)
    stored = np.where(keys[rows] > kappa, log_weights[rows], again[rows])
    return rows, inclusion_probabilities(log_weights[rows] if first_counts else stored, kappa)


def total(values: Floats, rows: Rows, probability: Floats) -> float:
    """F̂ = Σ f/p."""
    return float((values[rows] / probability).sum())
