"""Scores of a batch of samples, the predictions behind them, and the offers to the buffer that follow.

Values that the scorer, the worker and the buffer exchange. Independent of their computation.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from importance.arrays import Booleans, Floats, Vectors
from importance.errors import InvalidInput
from importance.race.seen import Seen
from importance.sample import Sample
from importance.selection import QuantileThreshold

SERVING: Final = "serving"
BASELINE: Final = "frozen"  # the name under which counts have always been stored
REFERENCE: Final = "reference"
SHADOW: Final = "shadow"
MIRROR: Final = "mirror"


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """P(label = 1) of n samples by one predictor; ``version`` is empty where it is not a model version.

    ``values`` is [n]; those of `REFERENCE` are in [0, 1], NaN where a sample brings none. `SHADOW` and `MIRROR` are NaN
    for samples of subjects that are not compared.
    """

    version: str
    values: Floats


@dataclass(frozen=True, eq=False, slots=True)
class Embeddings:
    """The hidden vectors of n samples, [n, H], by one model version."""

    version: str
    values: Vectors


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """The scores of n samples by one model version; every array has shape [n].

    ``importance`` is the raw score s ≥ 0 of ``estimator``; ``mean_importance`` is the mean of s that was measured
    once, when the version was evaluated, so that a key depends on event and version only; ``top_threshold`` is where
    its top fraction starts, measured with it. ``non_finite`` of the samples had a score or prediction that was not
    finite, and was replaced. ``predictions`` are by predictor: `SERVING` the version ``model``, `BASELINE` the first
    version, `REFERENCE` a score that the samples bring, `SHADOW` a candidate, `MIRROR` the version
    before. ``known`` is whether the first version knew the item.
    ``seen`` is what a race of policies is run on, where there is one.
    ``embeddings`` are those of the first version, or of ``model`` where nothing is compared with it.
    """

    importance: Floats
    estimator: str
    model: str
    mean_importance: float = 1.0
    top_threshold: QuantileThreshold | None = None
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    known: Booleans | None = None
    non_finite: int = 0
    embeddings: Embeddings | None = None
    seen: Seen | None = None

    def __post_init__(self) -> None:
        """Refuse what would poison a key or a count."""
        size = self.importance.shape
        if len(size) != 1 or not bool(np.all((self.importance >= 0) & np.isfinite(self.importance))):
            raise InvalidInput(f"importance of {self.model} by {self.estimator} must be [n], finite and at least 0")
        if not (0 <= self.mean_importance < np.inf):
            raise InvalidInput(f"mean importance of {self.model} is {self.mean_importance}; it must be at least 0")
        if self.known is not None and self.known.shape != size:
            raise InvalidInput(f"known has shape {self.known.shape}; it must be that of importance: {size}")
        for predictor, predictions in self.predictions.items():
            shape = predictions.values.shape
            if shape != size:
                raise InvalidInput(f"{predictor} predictions have shape {shape}; it must be that of importance: {size}")

    @property
    def prediction(self) -> Floats | None:
        """Return the predictions [n] of the serving version; None where nothing was predicted."""
        serving = self.predictions.get(SERVING)
        return None if serving is None else serving.values

    @property
    def mass(self) -> float:
        """Return Σ s / mean(s): how many average samples these are worth; their number where the mean is not known.

        >>> Scores(np.array([0.5, 1.5, 4.0]), "loss", "v1", mean_importance=2.0).mass
        3.0
        """
        return float(self.importance.sum() / self.mean_importance) if self.mean_importance else float(len(self))

    def __len__(self) -> int:
        return len(self.importance)

    @classmethod
    def uniform(cls, count: int, model: str = "none") -> "Scores":
        """Return scores without a model: the importance of every sample is 1.

        >>> Scores.uniform(2).importance.tolist()
        [1.0, 1.0]
        """
        return cls(np.ones(count), "uniform", model)


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A sample offered to its stratum: its key, and the decision of the thresholds at that moment.

    ``key`` = ``log_weight`` − ln u decides; ``kept``: it lies above the threshold κ of epoch
    ``threshold_epoch``, and ``probability`` is that of being kept by that κ. ``label`` is that at the window's close.
    ``limit`` is m ≤ 0: what earlier draws left of the chance, for a row that was scored again.
    """

    sample: Sample
    label: int
    importance: float
    estimator: str
    model: str
    prediction: float | None
    stratum: str
    log_weight: float
    key: float
    probability: float
    kept: bool
    threshold_epoch: int
    limit: float = 0.0
