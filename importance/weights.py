"""Training weights that undo the draw: how much a buffered row counts in the loss.

Importance was applied once, at admission; here its inclusion probability is divided out, and where it is asked for the
propensity of what was shown. Pure arrays.
"""

from dataclasses import dataclass
from math import log

import numpy as np

from importance.arrays import Floats, Integers
from importance.errors import InvalidInput
from importance.propensity import Exposure

LARGEST = 10.0  # a single row never counts more than ten average ones
_QUANTILE = 0.99


@dataclass(frozen=True, eq=False, slots=True)
class TrainingWeights:
    """Loss weights [n] of a whole buffer, in the rows' order.

    ``clip`` is the bound that was applied; ``clipped_mass`` the share of all weight that it removed, a bias to be
    reported; ``effective_sample_size`` = (Σa)² / Σa²: under n/4 of it a higher floor of the selection is due.
    """

    values: Floats
    clip: float
    clipped_mass: float
    effective_sample_size: float

    @property
    def is_concentrated(self) -> bool:
        """Return whether the effective sample size is under a quarter of the rows."""
        return self.effective_sample_size < len(self.values) / 4


def effective_sample_size(weights: Floats) -> float:
    """Return (Σa)² / Σa²: how many equally weighted rows would be as informative (Kish 1965); 0 without rows.

    >>> effective_sample_size(np.array([1.0, 1.0, 0.0]))
    2.0
    """
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares else 0.0


def training_weights(
    probability: Floats,
    time_ms: Integers | None = None,
    half_life_seconds: float | None = None,
    exposure: Exposure | None = None,
) -> TrainingWeights:
    """Return the weights a = d·v / p over their mean, clipped at min(99th percentile, 10), for rows drawn uniformly.

    ``probability``: p [n] of the whole buffer, never of a batch, or the mean would depend on the draw. d =
    exp(−λ(T − t)) with the newest row's time as T (any other cancels in the mean), and 1 without decay. v =
    `Exposure.weights` with d / p as mass, and 1 without an ``exposure``. The clip is never below the mean, which a
    buffer of mostly expired rows would ask for.

    >>> training_weights(np.array([1.0, 0.5, 0.5])).values.tolist()
    [0.6, 1.2, 1.2]
    """
    if not bool(np.all((probability > 0) & (probability <= 1))):
        raise InvalidInput("an inclusion probability lies outside (0, 1]; such a row is not in the buffer")
    if not len(probability):
        return TrainingWeights(np.empty(0), LARGEST, 0.0, 0.0)
    raw = 1.0 / probability
    if half_life_seconds is not None:
        if time_ms is None:
            raise InvalidInput("with a half-life the weights need the rows' event times: give time_ms")
        raw *= np.exp(log(2) / half_life_seconds * (time_ms - time_ms.max()) / 1000)
    if exposure is not None:
        raw *= exposure.weights(raw)
    normal = raw / raw.mean()
    clip = min(max(float(np.quantile(normal, _QUANTILE)), 1.0), LARGEST)
    values = np.minimum(normal, clip)
    return TrainingWeights(values, clip, 1.0 - float(values.mean()), effective_sample_size(values))
