"""What a fine-tune may learn from: samples of the buffer with labels and loss weights, as values.

Importance was applied when the samples were admitted; here it appears only as the loss weight a that undoes the draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput
from importance.sample import Sample


@dataclass(frozen=True, eq=False, slots=True)
class TrainingRows:
    """Samples to learn from, never of the holdout. All [n].

    ``labels`` as they are known now, ``weights`` a ≥ 0 over their mean in the buffer, then clipped: of mean 1 or less.
    ``fresh`` newer than the last watermark. ``predictions`` are those that were stored with the samples, by the version
    that served at the time; NaN where it made none, None where they are not known.
    """

    samples: Sequence[Sample]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    fresh: NDArray[np.bool_]
    predictions: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        if {len(self.samples)} != {len(self.labels), len(self.weights), len(self.fresh)}:
            raise InvalidInput("training rows need samples, labels, weights and fresh of one length")
