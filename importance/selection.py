"""Convert a raw score to a weight: proportional with a uniform floor, or the top fraction.

Independent of keys; importance is applied here, once, at admission (theory: Katharopoulos & Fleuret 2018).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from importance.arrays import Floats
from importance.errors import InvalidInput

PROPORTIONAL: Final = "proportional"
TOP_FRACTION: Final = "top_fraction"
SELECTIONS: Final = (PROPORTIONAL, TOP_FRACTION)

FLOOR = 0.25
_LARGEST = 1e300  # a ratio that overflows would not be a weight; float32 scores stay far below


@dataclass(frozen=True, slots=True)
class QuantileThreshold:
    """The quantile of scores above which the top fraction lies; of scores equal to it a share ``at_threshold`` is in.

    Measured once, when a version is evaluated, so that membership is a function of event and version.
    """

    threshold: float
    at_threshold: float


def quantile_threshold(measured: Floats, fraction: float) -> QuantileThreshold | None:
    """Return the threshold that selects exactly ``fraction`` of the measured scores; None where nothing was measured.

    Scores that are counts, or all alike, tie in masses; so many of the tied get in that the rate is exact.

    >>> quantile_threshold(np.array([0.0, 0.0, 0.0, 0.0, 2.0]), 0.4)
    QuantileThreshold(threshold=0.0, at_threshold=0.25)
    """
    if not 0 < fraction <= 1:
        raise InvalidInput(f"the top fraction is {fraction}; it must be above 0 and at most 1")
    if not len(measured):
        return None
    wanted = fraction * len(measured)
    threshold = float(np.sort(measured)[::-1][max(int(np.ceil(wanted)) - 1, 0)])
    above, equal = int((measured > threshold).sum()), int((measured == threshold).sum())
    return QuantileThreshold(threshold, (wanted - above) / equal)


def top_fraction(importance: Floats, threshold: QuantileThreshold | None, draws: Floats) -> Floats:
    """Return the weights [n] of raw scores [n]: 1 in the top fraction, 0, so no chance at all, below it.

    ``draws`` [n] in (0, 1), a hash of the ids with a purpose of its own, break ties. Biased on purpose: what is left
    out has no inclusion probability that could be divided out. Before a threshold was measured all are in.

    >>> top_fraction(np.array([3.0, 1.0, 1.0]), QuantileThreshold(1.0, 0.5), np.array([0.9, 0.4, 0.6])).tolist()
    [1.0, 1.0, 0.0]
    """
    if threshold is None:
        return np.ones_like(importance)
    tied = (importance == threshold.threshold) & (draws < threshold.at_threshold)
    return np.where((importance > threshold.threshold) | tied, 1.0, 0.0)


def check_floor(floor: float) -> None:
    """Refuse a floor with which a score of zero would have weight zero, and no chance at all."""
    if not 0 < floor <= 1:
        raise InvalidInput(f"the floor of proportional selection is {floor}; it must be above 0 and at most 1")


def proportional(importance: Floats, mean_importance: float, floor: float = FLOOR) -> Floats:
    """Return the weights [n] of raw scores [n]: w = (1 − ε)·s / mean(s) + ε.

    They are ≥ ε, and of mean 1 where the scores' mean is ``mean_importance``.

    Elementwise, and of the four basic operations only, so a weight never depends on its neighbours in the batch.
    Where mean(s) = 0 nothing is known, and w = 1. The floor bounds every training weight at about 1/ε.

    >>> proportional(np.array([0.0, 1.0, 3.0]), mean_importance=1.0).tolist()
    [0.25, 1.0, 2.5]
    """
    check_floor(floor)
    if mean_importance == 0:
        return np.ones_like(importance)
    with np.errstate(over="ignore"):
        ratio = np.minimum(importance / mean_importance, _LARGEST)
    return (1 - floor) * ratio + floor
