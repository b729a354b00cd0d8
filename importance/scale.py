"""The scale of a model version's scores: their means, the mixture's mean, and where its top fraction starts.

Made of the scores that were measured when the version was evaluated, so that a key is a function of event and version,
whatever the mixture that is asked for. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from importance.arrays import Floats
from importance.mixture import GUARD, Mixture
from importance.selection import QuantileThreshold, quantile_threshold

TOP_FRACTION = 0.1
"""The article's: at or above the 90th percentile."""


@dataclass(frozen=True, eq=False, slots=True)
class Scale:
    """``means`` by estimator; ``mean`` and ``top_threshold`` of the mixture. A mean of 0: nothing was measured yet."""

    means: Mapping[str, float]
    mean: float
    top_threshold: QuantileThreshold | None

    @classmethod
    def of(cls, mixture: Mixture, measured: Mapping[str, Floats], fraction: float = TOP_FRACTION) -> "Scale":
        """Return the scale of a mixture by the estimators' scores [n] of the same n samples, NaN where one is missing.

        >>> from importance.mixture import parse
        >>> scale = Scale.of(parse("rho+loss"), {"rho": np.array([1.0, 3.0]), "loss": np.array([0.2, 0.2])})
        >>> scale.means, scale.mean, scale.top_threshold
        ({'rho': 2.0, 'loss': 0.2}, 2.0, QuantileThreshold(threshold=2.5, at_threshold=0.2))
        """
        wanted = {name: measured[name] for name in mixture.columns if name in measured}
        known = np.all([np.isfinite(scores) for scores in wanted.values()], axis=0)
        columns = {name: scores[known] for name, scores in wanted.items()}
        if not wanted or not known.any():
            return cls({}, 0.0, None)
        means = {name: float(scores.mean()) for name, scores in columns.items()}
        scores = mixture.combine(complete(mixture, columns, int(known.sum())), means)
        return cls(means, float(scores.mean()), quantile_threshold(scores, fraction))


def complete(mixture: Mixture, columns: Mapping[str, Floats], count: int) -> dict[str, Floats]:
    """Return the columns [n] of a mixture, with 0 for an estimator and 1 for a guard that the version cannot serve."""
    return {
        name: columns[name] if name in columns else np.full(count, 1.0 if name == GUARD else 0.0)
        for name in mixture.columns
    }
