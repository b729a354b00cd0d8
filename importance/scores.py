"""What a model says about a batch of samples, and what becomes of each of them at the buffer's thresholds.

Plain values that the scorer, the worker and the buffer hand to each other. Knows nothing of how they are computed.
"""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput
from importance.sample import Sample
from importance.selection import QuantileThreshold

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Scores:
    """The scores of n samples by one model version; every array has shape [n].

    ``importance`` is the raw score s ≥ 0 of ``estimator``; ``mean_importance`` is the mean of s that was measured once,
    when the version was evaluated, so that a key depends on event and version only; ``top_threshold`` is where its top
    fraction begins, measured with it. ``non_finite`` of the samples had a score or prediction that was no finite
    number, and was replaced. ``prediction`` is P(label = 1) by the serving version ``model``, ``control`` by the frozen
    copy ``control_model`` of the first one; ``known`` says whether the first model knew the item; ``reference`` is a
    plain reference in [0, 1], NaN where the sample brings none.
    """

    importance: Floats
    estimator: str
    model: str
    mean_importance: float = 1.0
    top_threshold: QuantileThreshold | None = None
    prediction: Floats | None = None
    control: Floats | None = None
    control_model: str | None = None
    known: NDArray[np.bool_] | None = None
    reference: Floats | None = None
    non_finite: int = 0

    def __post_init__(self) -> None:
        """Refuse what would poison a key or a count."""
        size = self.importance.shape
        if len(size) != 1 or not bool(np.all((self.importance >= 0) & np.isfinite(self.importance))):
            raise InvalidInput(f"importance of {self.model} by {self.estimator} must be [n], finite and at least 0")
        if not (0 <= self.mean_importance < np.inf):
            raise InvalidInput(f"mean importance of {self.model} is {self.mean_importance}; it must be at least 0")
        for name in ("prediction", "control", "known", "reference"):
            column = getattr(self, name)
            if column is not None and column.shape != size:
                raise InvalidInput(f"{name} has shape {column.shape}; it must be that of importance: {size}")
        if self.control is not None and self.control_model is None:
            raise InvalidInput("control predictions need the version that made them: give control_model")

    def __len__(self) -> int:
        return len(self.importance)

    @classmethod
    def uniform(cls, count: int, model: str = "none") -> "Scores":
        """The baseline that needs no model: every sample is worth 1.

        >>> Scores.uniform(2).importance.tolist()
        [1.0, 1.0]
        """
        return cls(np.ones(count), "uniform", model)


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A sample offered to its stratum: its key, and the decision of the thresholds at that moment.

    ``key`` = ``log_weight`` − ln u decides; ``kept`` says that it lies above the threshold κ of epoch
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
