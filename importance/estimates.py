"""Estimate totals, means and shares of the whole stream from the buffer drawn from it, each with its interval.

A row's inclusion probability p undoes the draw: Σ f/p estimates the sum of f over all that was offered, without bias
(Horvitz & Thompson 1952), and V̂ = Σ f²(1 − p)/p² its variance: rows of one priority sample are uncorrelated (Duffield,
Lund & Thorup 2007). Pure arrays; independent of the rows' storage.
"""

from dataclasses import dataclass
from math import exp, inf, nan, sqrt
from statistics import NormalDist

import numpy as np

from importance.arrays import Booleans, Floats
from importance.errors import InvalidInput
from importance.weights import effective_sample_size

LEVEL = 0.95
MIN_HITS = 20
"""Rows that count towards an estimate, below which its interval is not informative."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """An estimate with its variance V̂ and the two ends of its interval.

    ``hits`` are the rows that differ from zero (for a share, the smaller side's); with fewer than `MIN_HITS` of them
    ``too_few`` is true, and the interval is not to be trusted.
    """

    value: float
    variance: float
    low: float
    high: float
    hits: int
    too_few: bool


def total(values: Floats, probability: Floats, level: float = LEVEL) -> Estimate:
    """Return the sum of ``values`` f ≥ 0 over the stream, from rows [n] that were held with ``probability`` p [n].

    F̂ = Σ f/p, and the interval F̂·exp(± t_ν √V̂/F̂), which is never below zero. ν = 2(Σc)²/Σc², c = f²(1 − p)/p², are
    the degrees of freedom of V̂ (Satterthwaite 1946): a few rows of great weight make the interval wide.

    >>> found = total(np.array([1.0, 1.0]), np.array([1.0, 0.5]))
    >>> found.value, found.variance, found.too_few
    (3.0, 2.0, True)
    """
    _check(values, probability)
    weighted, hits, sure = values / probability, int(np.count_nonzero(values)), bool(np.all(probability == 1))
    return _positive(float(weighted.sum()), weighted**2 * (1 - probability), hits, level, sure)


def mean(values: Floats, probability: Floats, level: float = LEVEL) -> Estimate:
    """Return the mean of ``values`` f ≥ 0 over the stream: the ratio μ = Σ(f/p) / Σ(1/p).

    Its variance is that of Σ(f − μ)/p over the square of Σ1/p (Särndal, Swensson & Wretman 1992, 5.6); the interval is
    that of a positive total. NaN without rows.

    >>> mean(np.array([1.0, 4.0]), np.array([1.0, 0.5])).value
    3.0
    """
    _check(values, probability)
    if not len(values):
        return Estimate(nan, nan, nan, nan, 0, True)
    ratio, parts = _ratio(values, probability)
    return _positive(ratio, parts, int(np.count_nonzero(values)), level, bool(np.all(probability == 1)))


def share(chosen: Booleans, probability: Floats, level: float = LEVEL) -> Estimate:
    """Return the share of the stream that is ``chosen`` [n]: a mean of zeros and ones, with an interval inside [0, 1].

    Wilson's (1927), with the effective size n = μ(1 − μ)/V̂ and t_ν in place of the normal quantile. Where all rows are
    alike V̂ is 0, and n = (Σ1/p)²/Σ1/p². Where all of the stream is held the share is known exactly.

    >>> found = share(np.arange(100) < 30, np.full(100, 0.5))
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.3, 0.24, 0.368)
    """
    ones = chosen.astype(np.float64)
    _check(ones, probability)
    if not len(chosen):
        return Estimate(nan, nan, nan, nan, 0, True)
    value, parts = _ratio(ones, probability)
    variance, hits = float(parts.sum()), int(min(chosen.sum(), (~chosen).sum()))
    if bool(np.all(probability == 1)):
        return Estimate(value, 0.0, value, value, hits, False)
    size = value * (1 - value) / variance if hits else effective_sample_size(1 / probability)
    t = _student(level, parts) if hits else NormalDist().inv_cdf((1 + level) / 2)
    middle = (value + t**2 / (2 * size)) / (1 + t**2 / size)
    half = t * sqrt(value * (1 - value) / size + (t / (2 * size)) ** 2) / (1 + t**2 / size)
    return Estimate(value, variance, middle - half, middle + half, hits, hits < MIN_HITS)


def _ratio(values: Floats, probability: Floats) -> tuple[float, Floats]:
    """Return μ = Σ(f/p) / Σ(1/p), and what each row adds to its variance."""
    weight = 1 / probability
    ratio = float(values @ weight / weight.sum())
    return ratio, ((values - ratio) * weight / weight.sum()) ** 2 * (1 - probability)


def _positive(value: float, parts: Floats, hits: int, level: float, sure: bool) -> Estimate:
    """An estimate above 0 whose variance is the sum of ``parts``. Where that is 0 it is exact if all of the stream is
    held (``sure``); else nothing is known of the rows that are not held.
    """
    variance = float(parts.sum())
    if not variance:
        return Estimate(value, 0.0, value, value, hits, not (hits and sure))
    spread = _student(level, parts) * sqrt(variance) / value
    high = value * exp(spread) if spread < 700 else inf  # e⁷⁰⁹ is the largest number
    return Estimate(value, variance, value * exp(-spread), high, hits, hits < MIN_HITS)


def _student(level: float, parts: Floats) -> float:
    """Return the two-sided quantile of Student's t with ν = 2(Σc)²/Σc² degrees of freedom; c: ``parts``."""
    from scipy.special import stdtrit  # takes half a second, and only estimates need it

    shares = parts / parts.sum()
    return float(stdtrit(2 / float(shares @ shares), (1 + level) / 2))


def _check(values: Floats, probability: Floats) -> None:
    if values.shape != probability.shape:
        raise InvalidInput(f"{len(values)} values for {len(probability)} probabilities; there must be one each")
    if not bool(np.all((probability > 0) & (probability <= 1))):
        raise InvalidInput("an inclusion probability lies outside (0, 1]; such a row is not in the buffer")
    if not bool(np.all(values >= 0)):
        raise InvalidInput("a value is below 0 or no number; only totals of what is at least 0 have this interval")
