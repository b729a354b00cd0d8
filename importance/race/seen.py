"""What scoring saw of a batch that a race is run on. Arrays only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from importance.arrays import Floats, Vectors
from importance.race.policy import Policy
from importance.selection import proportional


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """What scoring saw of n samples: the hidden vectors [n, H] of ``version``, and scores [n] by estimator.

    ``last_layer`` [H + 1] is the version's own, bias last, that of a single logit; ``means`` are those of the scores
    when the version was evaluated.
    """

    version: str
    last_layer: Floats
    hidden: Vectors
    scores: Mapping[str, Floats]
    means: Mapping[str, float]

    def weights(self, policies: Sequence[Policy]) -> Floats:
        """Return the weight w [n, K] with which each policy would keep each sample; 1 where nothing was measured."""
        ones = np.ones(len(self.hidden))
        return np.stack(
            [
                proportional(self.scores.get(each.estimator, ones), self.means.get(each.estimator, 0.0), each.floor)
                for each in policies
            ],
            axis=1,
        )
