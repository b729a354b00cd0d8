"""Paired tests of whether one model is better than another on the same events, for the gate.

DeLong's test for the difference of two AUCs, the exact test of McNemar for two accuracies, a bootstrap by group for
everything else, and Holm's adjustment of several p-values. Numpy arrays in, frozen results out; randomness is passed
in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
from scipy.stats import binomtest, rankdata

from importance.arrays import Booleans, Floats, Integers
from importance.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class PairedAuc:
    """Two AUCs on the same events; ``difference`` = candidate − serving, with its standard error."""

    candidate: float
    serving: float
    standard_error: float

    @property
    def difference(self) -> float:
        """Return the difference, positive when the candidate is better."""
        return self.candidate - self.serving

    def lower(self, level: float = 0.05) -> float:
        """Return the one-sided lower bound: the true difference lies below it with probability at most ``level``.

        Non-inferior by a margin δ: lower(level) > −δ. A veto: upper(level) < −δ.

        >>> round(PairedAuc(0.80, 0.79, standard_error=0.01).lower(0.05), 4)
        -0.0064
        """
        return self.difference + _quantile(level) * self.standard_error

    def upper(self, level: float = 0.05) -> float:
        """Return the one-sided upper bound."""
        return self.difference - _quantile(level) * self.standard_error

    def p_below(self, bound: float) -> float:
        """Return the one-sided p-value of the null hypothesis that the true difference is ``bound`` or more.

        >>> round(PairedAuc(0.78, 0.81, standard_error=0.01).p_below(-0.01), 4)
        0.0228
        """
        gap = self.difference - bound
        return NormalDist().cdf(gap / self.standard_error) if self.standard_error > 0 else float(gap >= 0)


def _quantile(level: float) -> float:
    if not 0 < level < 1:
        raise InvalidInput(f"the level of a test is {level}; it must lie between 0 and 1")
    return NormalDist().inv_cdf(level)


def paired_auc(labels: Integers, candidate: Floats, serving: Floats, groups: Integers | None = None) -> PairedAuc:
    """Compute DeLong's paired comparison of two AUCs, in O(n log n); all arguments [n].

    With ψ(x, y) = 1 for x > y and ½ for equal ones, V(x) = mean_y ψ and V(y) = mean_x ψ, the variance is
    var(V of the positives)/m + var(V of the negatives)/n, taken of the difference of the two models (DeLong, DeLong &
    Clarke-Pearson 1988; midranks by Sun & Xu 2014). ``groups`` names the query or subject of each event: events of
    one are not independent, and their deviations are then added up before they are squared (Obuchowski 1997).
    """
    positive = labels == 1
    m, n = int(positive.sum()), int((~positive).sum())
    if m < 2 or n < 2:
        raise InvalidInput(f"an AUC needs at least 2 events of each label; there are {m} positive and {n} negative")
    first, second = placements(positive, candidate), placements(positive, serving)
    gain = first - second
    of_positives, of_negatives = gain[positive], gain[~positive]
    if groups is None:
        variance = float(of_positives.var(ddof=1) / m + of_negatives.var(ddof=1) / n)
    else:
        deviation = np.empty(len(labels))
        deviation[positive] = (of_positives - of_positives.mean()) / m
        deviation[~positive] = (of_negatives - of_negatives.mean()) / n
        variance = _between(deviation, groups)
    return PairedAuc(float(first[positive].mean()), float(second[positive].mean()), sqrt(variance))


def placements(positive: Booleans, scores: Floats) -> Floats:
    """Return for each event the share of the other label's events that it is ranked right against; ties count ½."""
    inside = np.where(positive, _midranks_within(scores, positive), _midranks_within(scores, ~positive))
    rank_among_others = rankdata(scores) - inside
    m, n = positive.sum(), (~positive).sum()
    placements: Floats = np.where(positive, rank_among_others / n, 1.0 - rank_among_others / m)
    return placements


def _midranks_within(scores: Floats, chosen: Booleans) -> Floats:
    """Return midranks among the chosen events only; 0 elsewhere."""
    ranks = np.zeros(len(scores))
    ranks[chosen] = rankdata(scores[chosen])
    return ranks


def _between(deviation: Floats, groups: Integers) -> float:
    """Return the variance of a sum of deviations that are independent between groups only."""
    _, index = np.unique(groups, return_inverse=True)
    sums = np.bincount(index, weights=deviation)
    if len(sums) < 2:
        raise InvalidInput("a variance between groups needs at least 2 of them; all events belong to one")
    return float(sums @ sums) * len(sums) / (len(sums) - 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and its two-sided interval."""

    estimate: float
    low: float
    high: float


def paired_bootstrap(
    difference: Callable[[Integers], float],
    groups: Integers,
    random: np.random.Generator,
    repeats: int = 1_000,
    level: float = 0.05,
) -> Interval:
    """Return the percentile interval of a difference, by drawing whole groups (queries, subjects) with replacement.

    ``difference`` gets row numbers, with repetition, and returns candidate − serving on them, so that both models are
    always compared on the same events; a NaN (a class is missing from the draw) is left out. Efron & Tibshirani 1993.
    """
    order = np.argsort(groups, kind="stable")
    rows = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    draws = [
        difference(np.concatenate([rows[drawn] for drawn in random.integers(len(rows), size=len(rows))]))
        for _ in range(repeats)
    ]
    low, high = np.nanquantile(draws, [level / 2, 1 - level / 2]).tolist()
    return Interval(difference(np.arange(len(groups))), low, high)


def mcnemar(only_candidate_right: int, only_serving_right: int) -> float:
    """Return the exact two-sided p-value that both models are right equally often, by the events where they differ.

    p = min(1, 2·P(X ≤ min(b, c))), X binomial of b + c trials at ½ (McNemar 1947).

    >>> round(mcnemar(8, 1), 6)  # 2 · (1 + 9) / 2⁹
    0.039062
    """
    n, smaller = only_candidate_right + only_serving_right, min(only_candidate_right, only_serving_right)
    if smaller < 0:
        raise InvalidInput(
            f"counts of events are {only_candidate_right} and {only_serving_right}; they cannot be below 0"
        )
    return float(binomtest(smaller, n).pvalue) if n else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values: the k-th smallest times (m − k + 1), never below a smaller one's, at most 1 (Holm 1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values, kind="stable")
    factors = len(p_values) - np.arange(len(p_values))
    adjusted = np.minimum(np.maximum.accumulate(np.asarray(p_values)[order] * factors), 1.0)
    result = np.empty(len(p_values))
    result[order] = adjusted
    return [float(value) for value in result]
