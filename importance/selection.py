"""From a raw score to a weight above zero: the proportional rule with a uniform floor.

Knows nothing of keys; importance is applied here, once, at admission (theory: Katharopoulos & Fleuret 2018).
"""

import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput

FLOOR = 0.25
_LARGEST = 1e300  # a ratio past every float would be no weight; float32 scores stay far below


def check_floor(floor: float) -> None:
    """Refuse a floor with which a score of zero would have weight zero, and no chance at all."""
    if not 0 < floor <= 1:
        raise InvalidInput(f"the floor of the proportional rule is {floor}; it must be above 0 and at most 1")


def proportional(importance: NDArray[np.float64], mean_importance: float, floor: float = FLOOR) -> NDArray[np.float64]:
    """The weights [n] of raw scores [n]: w = (1 − ε)·s / mean(s) + ε.

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
