"""Compare policies: paired differences with intervals over seeds and examples, and Holm's correction.

A metric of one run is stored as its value and the influence of each group of examples (the first-order change of the
metric when a group is drawn more or less often); so thousands of bootstrap draws are one product of matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from importance.arrays import Floats, Integers
from importance.evidence import Interval, placements

REPEATS = 2_000


@dataclass(frozen=True, eq=False, slots=True)
class RunMetric:
    """A metric of one run: its ``value``, and the influence ``parts`` [G] of the groups, which sum to 0."""

    value: float
    parts: Floats


def auc_metric(labels: Integers, prediction: Floats, groups: Integers) -> RunMetric:
    """Compute the AUC; parts are the deviations of DeLong's placements, divided by the label's count, by group.

    >>> auc_metric(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.3, 0.4]), np.array([0, 0, 1, 1])).value
    0.75
    """
    positive = labels == 1
    placed = placements(positive, prediction)
    value = float(placed[positive].mean())
    return RunMetric(value, _by_group((placed - value) / np.where(positive, positive.sum(), (~positive).sum()), groups))


def accuracy_metric(labels: Integers, prediction: Floats, groups: Integers) -> RunMetric:
    """Compute the accuracy at a threshold of one half."""
    right = ((prediction >= 0.5) == (labels == 1)).astype(np.float64)
    value = float(right.mean())
    return RunMetric(value, _by_group((right - value) / len(right), groups))


def _by_group(parts: Floats, groups: Integers) -> Floats:
    _, index = np.unique(groups, return_inverse=True)
    return np.bincount(index, weights=parts).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean difference of a metric over ``seeds``, with its 95 % interval and two-sided p-value (1 for one seed)."""

    interval: Interval
    p_value: float
    seeds: int


class Bootstrap:
    """Bootstrap draws of seeds and groups; the draws of groups are the same for every comparison."""

    def __init__(self, groups: int, random: np.random.Generator, repeats: int = REPEATS) -> None:
        self._extra = random.multinomial(groups, np.full(groups, 1 / groups), size=repeats).astype(np.float64) - 1
        self._random = random

    def difference(self, ours: Sequence[RunMetric], theirs: Sequence[RunMetric]) -> Difference:
        """Return ours minus theirs, paired by seed.

        Seeds and groups of examples are drawn with replacement. The seeds' deviations are scaled by √(S/(S − 1)): a
        bootstrap of few seeds underestimates the variance (Davison & Hinkley 1997).
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
        if seeds == 1:  # the variance between seeds is unknown: no p-value
            return Difference(Interval(mean, low, high), 1.0, seeds)
        tail = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
        return Difference(Interval(mean, low, high), min(1.0, 2 * (tail + 1) / (len(draws) + 1)), seeds)
