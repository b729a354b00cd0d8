"""Is one policy better than another? Paired differences with intervals over seeds and examples, and Holm's correction.

A figure of one run is written as its value and what each group of examples adds to it (the first order of its change
when a group is drawn more or less often); so thousands of bootstrap draws are one product of matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from importance.arrays import Floats, Integers
from importance.evidence import Interval, placements

REPEATS = 2_000


@dataclass(frozen=True, eq=False, slots=True)
class Figure:
    """A figure of one run: its ``value``, and the ``parts`` [G] that the groups add to it, of sum 0."""

    value: float
    parts: Floats


def auc_figure(labels: Integers, prediction: Floats, groups: Integers) -> Figure:
    """The AUC; parts are the deviations of DeLong's placements, each label's over its number, summed by group.

    >>> auc_figure(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1])).value
    0.75
    """
    positive = labels == 1
    placed = placements(positive, prediction)
    value = float(placed[positive].mean())
    return Figure(value, _by_group((placed - value) / np.where(positive, positive.sum(), (~positive).sum()), groups))


def accuracy_figure(labels: Integers, prediction: Floats, groups: Integers) -> Figure:
    """The accuracy at a threshold of one half."""
    right = ((prediction >= 0.5) == (labels == 1)).astype(np.float64)
    value = float(right.mean())
    return Figure(value, _by_group((right - value) / len(right), groups))


def _by_group(parts: Floats, groups: Integers) -> Floats:
    _, place = np.unique(groups, return_inverse=True)
    return np.bincount(place, weights=parts).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean difference of a figure over ``seeds``, with its 95 % interval and two-sided p-value (1 of one seed)."""

    interval: Interval
    p_value: float
    seeds: int


class Bootstrap:
    """Draws of seeds and of groups, the same for every comparison of one data set."""

    def __init__(self, groups: int, random: np.random.Generator, repeats: int = REPEATS) -> None:
        self._extra = random.multinomial(groups, np.full(groups, 1 / groups), size=repeats).astype(np.float64) - 1
        self._random = random

    def difference(self, ours: Sequence[Figure], theirs: Sequence[Figure]) -> Difference:
        """Ours minus theirs, run by run of the same seed.

        Both are drawn with replacement: seeds, whose deviations are widened by √(S/(S − 1)) since few of them spread
        too little (Davison & Hinkley 1997), and groups of examples.
        """
        seeds = len(ours)
        values = np.asarray([a.value - b.value for a, b in zip(ours, theirs, strict=True)])
        parts = np.stack([a.parts - b.parts for a, b in zip(ours, theirs, strict=True)], axis=1)
        mean = float(values.mean())
        widened = mean + (values - mean) * (np.sqrt(seeds / (seeds - 1)) if seeds > 1 else 1.0)
        by_seed = widened + self._extra @ parts
        drawn = self._random.integers(seeds, size=(len(by_seed), seeds))
        draws = np.take_along_axis(by_seed, drawn, axis=1).mean(axis=1)
        low, high = np.quantile(draws, [0.025, 0.975]).tolist()
        if seeds == 1:  # one run against one says nothing of the next: no p-value
            return Difference(Interval(mean, low, high), 1.0, seeds)
        tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
        return Difference(Interval(mean, low, high), min(1.0, 2 * (tail + 1) / (len(draws) + 1)), seeds)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: the k-th smallest times (m − k + 1), never below a smaller one's, at most 1 (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1.0)
    result = np.empty(len(p_values))
    result[order] = adjusted
    return [float(value) for value in result]
