"""Sums over the samples of one block of event time: what detectors see of a stream."""

from dataclasses import dataclass

import numpy as np

from importance.arrays import Floats
from importance.errors import InvalidInput


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """The number of samples in one block of event time, and the sums [d] of what each of them adds.

    The blocks of several partitions add up to the block of the stream. The sums are float64 and finite; which d a
    feature has, and why its sums do not depend on the order of addition, is in `importance.drift.features`.

    >>> (Block(2, np.array([1.0, 3.0])) + Block(1, np.array([0.5, 0.0]))).sums.tolist()
    [1.5, 3.0]
    """

    count: int
    sums: Floats

    def __post_init__(self) -> None:
        """Refuse what would poison the state of a detector."""
        if self.count < 0:
            raise InvalidInput(f"a block has {self.count} samples; it must have at least 0")
        if self.sums.ndim != 1 or not bool(np.isfinite(self.sums).all()):
            raise InvalidInput(f"the sums of a block of {self.count} samples must be [d] and finite")

    def __add__(self, other: "Block") -> "Block":
        if self.sums.shape != other.sums.shape:
            raise InvalidInput(f"sums of shape {self.sums.shape} and {other.sums.shape} cannot be added")
        return Block(self.count + other.count, self.sums + other.sums)
