"""Samples with their labels, as values."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput
from importance.sample import Sample


@dataclass(frozen=True, eq=False, slots=True)
class Labelled:
    """Samples with their labels [n]."""

    samples: Sequence[Sample]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        if len(self.samples) != len(self.labels):
            raise InvalidInput(f"{len(self.labels)} labels for {len(self.samples)} samples; there must be one each")

    def __len__(self) -> int:
        return len(self.samples)
