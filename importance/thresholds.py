"""The thresholds that decide who is held, and the chance of being held that follows. Pure functions of keys.

κ is the largest key that a stratum rejected, κₕ the largest that the bound of one subject did; see
`importance.reservoir`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from math import exp, inf

import numpy as np

from importance.arrays import Floats


@dataclass(frozen=True, slots=True)
class Threshold:
    """κ of a stratum, −∞ until something was rejected, and the epoch that a re-scoring raises."""

    kappa: float = -inf
    epoch: int = 0


OPEN = Threshold()


@dataclass(frozen=True, slots=True)
class AdmissionThresholds:
    """The thresholds of all strata as last read. An old copy is never wrong, only less strict.

    ``subjects`` holds κₕ > κ by (stratum, subject), of subjects that are at their bound.
    """

    by_stratum: Mapping[str, Threshold] = field(default_factory=dict)
    subjects: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def __getitem__(self, stratum: str) -> Threshold:
        return self.by_stratum.get(stratum, OPEN)

    def kappa(self, stratum: str, subject: str) -> float:
        """Return max(κ, κₕ): what a subject's key must exceed."""
        return max(self[stratum].kappa, self.subjects.get((stratum, subject), -inf))

    def kappas(self, strata: Sequence[str], subjects: Sequence[str]) -> Floats:
        """Return the same of each sample [n]."""
        known = {stratum: self[stratum].kappa for stratum in set(strata)}
        kappas = np.fromiter(map(known.__getitem__, strata), np.float64, len(strata))
        if not self.subjects:
            return kappas
        own = map(self.subjects.get, zip(strata, subjects, strict=True), repeat(-inf))
        return np.maximum(kappas, np.fromiter(own, np.float64, len(strata)))


def inclusion_probability(log_weight: float, kappa: float, limit: float = 0.0) -> float:
    """Return the chance of being held: p = exp(min(0, m, ℓ − κ)).

    m = ``limit`` ≤ 0 is what an earlier draw left; 0 for a row that was never scored again. A weight of 0 has none.

    >>> inclusion_probability(log_weight=0.0, kappa=float(np.log(4)))
    0.25
    >>> inclusion_probability(log_weight=-3.0, kappa=-inf)
    1.0
    """
    return 0.0 if log_weight == -inf else exp(min(0.0, limit, log_weight - kappa))


def inclusion_probabilities(log_weight: Floats, kappa: Floats | float, limit: Floats | float = 0.0) -> Floats:
    """Return the same of many rows [n]."""
    chances: Floats = np.exp(np.minimum(np.minimum(0.0, limit), log_weight - kappa))
    return chances
