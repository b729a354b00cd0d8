"""How much a row counts for how rarely it was shown: its propensity divided out. Pure arrays.

Items that a shop rarely shows are rare in the data, however good they are. Independent of the buffer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from importance.arrays import Floats, Integers
from importance.errors import InvalidInput
from importance.sample import Sample


@dataclass(frozen=True, eq=False, slots=True)
class Exposure:
    """How n rows came to be shown. All [n].

    ``propensity``: q, the chance of being shown at its position, NaN where none was recorded; ``position``: 0 where
    none was. ``clip``: the most that 1/q may be, from 1, where no propensity was recorded.
    """

    propensity: Floats
    position: Integers
    clip: float

    def __post_init__(self) -> None:
        """Refuse what cannot be divided by."""
        if not self.clip >= 1:
            raise InvalidInput(f"propensity clip is {self.clip}; it must be at least 1: set WEIR_PROPENSITY_CLIP")
        known = self.propensity[~np.isnan(self.propensity)]
        if not bool(np.all((known > 0) & (known <= 1))):
            raise InvalidInput("a propensity lies outside (0, 1]; what is shown has a chance of being shown")

    def weights(self, mass: Floats) -> Floats:
        """Return min(1/q, clip) over its mean within the rows of one position; 1 where no propensity was recorded.

        Inverse propensity (Horvitz & Thompson 1952), truncated (Ionides 2008) and self-normalised (Swaminathan &
        Joachims 2015). The mean is weighed by ``mass`` ≥ 0 [n], what the rows count for otherwise. It is of one
        position, for q is of an item at a position: so each position keeps the mass with which it was logged, and rows
        without a propensity keep theirs.

        >>> Exposure(np.array([0.5, 0.25, 0.1, np.nan]), np.array([1, 1, 2, 2]), clip=3.0).weights(np.ones(4)).tolist()
        [0.8, 1.2, 1.0, 1.0]
        """
        weights = np.ones(len(mass))
        known = ~np.isnan(self.propensity)
        inverse, own = np.minimum(1.0 / self.propensity[known], self.clip), mass[known]
        _, index = np.unique(self.position[known], return_inverse=True)
        logged, weighted = np.bincount(index, own), np.bincount(index, own * inverse)
        mean = np.divide(weighted, logged, out=np.ones(len(logged)), where=logged > 0)
        weights[known] = inverse / mean[index]
        return weights


def exposure(samples: Sequence[Sample], clip: float) -> Exposure:
    """Return the propensities and positions that the samples' impressions recorded."""
    return Exposure(
        np.array([np.nan if sample.propensity is None else sample.propensity for sample in samples], np.float64),
        np.array([sample.position or 0 for sample in samples], np.int64),
        clip,
    )
