"""Draws and estimates by the thousand, in whole arrays: what the statistics of the buffer are measured with.

The numbers u, the inclusion probabilities and the estimates are those of `importance`; only who is held is found here,
by partial sorting in place of a buffer. A run differs from the next one in the salt alone.
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
    """Estimates of a known truth: how far their mean is off, in parts of it and in its standard errors (z)."""

    runs: int
    bias: float
    z: float

    @classmethod
    def of(cls, estimates: Sequence[float] | Floats, truth: float) -> "Bias":
        """The bias of estimates [runs]."""
        found = np.asarray(estimates, dtype=np.float64)
        error = found.mean() - truth
        return cls(len(found), float(error / truth), float(error / (found.std(ddof=1) / sqrt(len(found)))))


def runs_of(count: int, runs: int, name: str = "run") -> Iterator[Floats]:
    """Numbers u of the same ids [count], each time by another salt."""
    ids = [f"id-{number}" for number in range(count)]
    for run in range(runs):
        yield uniforms(ids, f"{name} {run}", "draw")


def by_threshold(log_weights: Floats, rows: Rows, kappa: float) -> Floats:
    """The right one: p = min(1, exp(ℓ − κ))."""
    return inclusion_probabilities(log_weights[rows], kappa)


def by_share_of_the_weight(log_weights: Floats, rows: Rows, _kappa: float) -> Floats:
    """What one would write down first, and what is wrong: p = min(1, k·w/Σw)."""
    weights = np.exp(log_weights)
    return np.minimum(1, len(rows) * weights[rows] / weights.sum())


def largest(keys: Floats, places: int) -> tuple[Rows, float]:
    """The rows of the largest keys, in no order, and κ: the first key that did not fit."""
    if len(keys) <= places:
        return np.arange(len(keys)), -inf
    order = np.argpartition(-keys, places)
    return order[:places], float(keys[order[places]])


def held(log_weights: Floats, u: Floats, places: int, probability: Probability = by_threshold) -> tuple[Rows, Floats]:
    """Who is held of a stream, and with what probability."""
    rows, kappa = largest(log_weights - np.log(u), places)
    return rows, probability(log_weights, rows, kappa)


def bounded(
    log_weights: Floats, subjects: Rows, u: Floats, places: int, most: int, own: bool = True
) -> tuple[Rows, Floats]:
    """Who is held where a subject (0, 1, …) holds its ``most`` largest keys at most. ``own``: p knows of that bound."""
    keys = log_weights - np.log(u)
    order = np.lexsort((-keys, subjects))
    counts = np.bincount(subjects)
    rank = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    bounds = np.full(len(counts), -inf)
    first_out = order[rank == most]
    bounds[subjects[first_out]] = keys[first_out]
    left = order[rank < most]
    inside, kappa = largest(keys[left], places)
    rows = left[inside]
    return rows, inclusion_probabilities(log_weights[rows], np.maximum(kappa, bounds[subjects[rows]]) if own else kappa)


def scored_again(
    before: Floats, after: Floats, u: Floats, places: int, seen: int, remember: bool = True, begin_anew: bool = True
) -> tuple[Rows, Floats]:
    """Who is held when a full buffer is scored again after ``seen`` of the stream, and goes on.

    ``before`` and ``after`` are the log weights by the old and the new score. The right way is to ``remember``
    m = ℓ − κ and to ``begin_anew`` with κ = −∞; without, rows stay in a buffer whose κ is of the old scale.
    """
    first, kappa = largest(before[:seen] - np.log(u[:seen]), places)
    limit = np.zeros(len(before))
    if remember:
        limit[first] = np.minimum(0.0, before[first] - kappa)
    keys = after - np.log(u)
    later = np.arange(seen, len(before))
    if not begin_anew:
        later = later[keys[later] > kappa]
    offered = np.concatenate([first, later])
    inside, threshold = largest(keys[offered], places)
    rows = offered[inside]
    return rows, inclusion_probabilities(after[rows], threshold if begin_anew else max(threshold, kappa), limit[rows])


def merged(log_weights: Floats, u: Floats, places: int, shared: int, delete: bool = True) -> tuple[Rows, Floats]:
    """Two pools, of the first ``shared`` of the stream and of the rest, made one of twice the places."""
    keys = log_weights - np.log(u)
    first, one = largest(keys[:shared], places)
    second, other = largest(keys[shared:], places)
    rows, kappa = np.concatenate([first, second + shared]), max(one, other)
    if delete:
        rows = rows[keys[rows] > kappa]
    return rows, inclusion_probabilities(log_weights[rows], kappa)


def between_trims(log_weights: Floats, u: Floats, places: int, look: bool = True) -> tuple[Rows, Floats]:
    """A table between two trims: the second half was admitted by thresholds read a while ago.

    ``look``: readers ignore rows at or below κ.
    """
    keys, half = log_weights - np.log(u), len(u) // 2
    _, thresholds = largest(keys[: half // 4], places)
    first, kappa = largest(keys[:half], places)
    late = half + np.flatnonzero(keys[half:] > thresholds)
    rows = np.concatenate([first, late])
    if look:
        rows = rows[keys[rows] > kappa]
    return rows, inclusion_probabilities(log_weights[rows], kappa)


def twice(log_weights: Floats, again: Floats, u: Floats, places: int, first_counts: bool) -> tuple[Rows, Floats]:
    """Every sample is delivered twice, the second time with another score; whoever was turned away is asked again."""
    keys = log_weights - np.log(u)
    second = again - np.log(u)
    rows, kappa = largest(keys if first_counts else np.maximum(keys, second), places)
    stored = np.where(keys[rows] > kappa, log_weights[rows], again[rows])
    return rows, inclusion_probabilities(log_weights[rows] if first_counts else stored, kappa)


def total(values: Floats, rows: Rows, probability: Floats) -> float:
    """F̂ = Σ f/p."""
    return float((values[rows] / probability).sum())
