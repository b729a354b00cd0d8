"""What one sample adds to the sums of its block, by kind of feature; vectorised over the samples of a batch.

Counts are whole numbers, and all else is rounded to multiples of 2⁻²⁰ (`_STEP`), so that sums below 2³³ are exact in
float64: they do not depend on how samples were divided over batches and partitions, nor on the order of addition.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from typing import Any, Protocol, Self

import numpy as np

from importance.arrays import Floats, Integers
from importance.drift.block import Block
from importance.errors import InvalidInput
from importance.hashing import uniforms

_STEP = 2.0**-20


class Feature(Protocol):
    """A way to sum samples up. Frozen; a changed one must not be added to sums that another one made."""

    @property
    def dimensions(self) -> int:
        """The number d of sums in a block."""
        ...

    def blocks(self, values: Any, block: Integers) -> dict[int, Block]:
        """Sum the values of n samples by block: ``block`` [n] is the number of each sample's block of event time.

        Only blocks with a sample appear. Raises InvalidInput for a value that is not finite or of the wrong shape.
        """
        ...


@dataclass(frozen=True, slots=True)
class Mean:
    """Σ x of values [n]. Its sums are exact for values of about 1, such as a loss in nats."""

    @property
    def dimensions(self) -> int:
        """One sum."""
        return 1

    def blocks(self, values: Floats, block: Integers) -> dict[int, Block]:
        """Sum the values by block."""
        return _add(_on_steps(_checked(values, 1)[:, None]), block)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values [n] between fixed edges; bin 0 lies below the first edge, the last one from the last edge on.

    >>> Histogram((1.0, 2.0)).blocks(np.array([0.5, 1.0, 1.5, 9.0]), np.zeros(4, np.int64))[0].sums.tolist()
    [1.0, 2.0, 1.0]
    """

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse edges that make no bins."""
        if not self.edges or not all(a < b for a, b in zip((-np.inf, *self.edges), (*self.edges, np.inf), strict=True)):
            raise InvalidInput(f"the {len(self.edges)} edges of a histogram must be finite and rise")

    @classmethod
    def logarithmic(cls, low: float, high: float, edges: int) -> Self:
        """Edges from ``low`` to ``high``, each the same multiple of the one before."""
        step = log(high / low) / (edges - 1)
        return cls(tuple(_rounded(low * exp(step * index)) for index in range(edges)))

    @classmethod
    def log_odds(cls, high: float, edges: int) -> Self:
        """Edges for probabilities: of equal width in ln(p / (1 − p)), from 1 − ``high`` to ``high``.

        Of equal width in p, the few bins near 0 would hold all predictions of a rare click.
        """
        bound = log(high / (1 - high))
        odds = (bound * (2 * index / (edges - 1) - 1) for index in range(edges))
        return cls(tuple(_rounded(1 / (1 + exp(-each))) for each in odds))

    @property
    def dimensions(self) -> int:
        """The number of bins."""
        return len(self.edges) + 1

    def blocks(self, values: Floats, block: Integers) -> dict[int, Block]:
        """Count the values by block and bin."""
        return _count(np.searchsorted(self.edges, _checked(values, 1), side="right"), block, self.dimensions)


@dataclass(frozen=True, slots=True)
class Categories:
    """Counts of texts [n], hashed to ``bins`` bins: categories need not be known, and some share a bin."""

    bins: int = 32

    @property
    def dimensions(self) -> int:
        """The number of bins."""
        return self.bins

    def blocks(self, values: Sequence[str], block: Integers) -> dict[int, Block]:
        """Count the texts by block and bin."""
        names = sorted(set(values))
        # The salt is fixed: the counts of all workers, and those of earlier blocks, must have the same bins.
        hashed = np.floor(uniforms(names, "drift", "category") * self.bins).astype(np.int64)
        bin_of = dict(zip(names, hashed.tolist(), strict=True))
        return _count(np.array([bin_of[value] for value in values], dtype=np.int64), block, self.bins)


@dataclass(frozen=True, slots=True)
class Choices:
    """Counts of texts [n] that are all among ``names``."""

    names: tuple[str, ...]

    @property
    def dimensions(self) -> int:
        """One bin for each name."""
        return len(self.names)

    def blocks(self, values: Sequence[str], block: Integers) -> dict[int, Block]:
        """Count the texts by block and name; raises InvalidInput for another text."""
        bin_of = {name: index for index, name in enumerate(self.names)}
        unknown = set(values) - bin_of.keys()
        if unknown:
            raise InvalidInput(f"{min(unknown)!r} is not one of {', '.join(self.names)}")
        return _count(np.array([bin_of[value] for value in values], dtype=np.int64), block, self.dimensions)


@dataclass(frozen=True, slots=True)
class RandomFourier:
    """Σ φ(x) of vectors [n, w], made unit vectors first: φ(x) = √(2/D) · cos(W x / σ + b).

    Rahimi & Recht 2007, "Random features for large-scale kernel machines": with W of N(0, 1) and b uniform in [0, 2π),
    both from ``seed``, φ(x)·φ(y) approximates the Gaussian kernel exp(−‖x − y‖² / 2σ²). D is ``dimensions``, σ is
    ``bandwidth``; unit vectors are 0 to 2 apart, unrelated ones about 1.4.
    """

    dimensions: int = 64
    seed: int = 0
    bandwidth: float = 1.0

    def blocks(self, values: Floats, block: Integers) -> dict[int, Block]:
        """Sum φ of the vectors by block; a vector of zeros stays one."""
        vectors = _checked(values, 2)
        lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
        unit = vectors / np.where(lengths > 0, lengths, 1.0)
        weights, phase = _random_features(vectors.shape[1], self.dimensions, self.seed)
        rows = (2 / self.dimensions) ** 0.5 * np.cos(unit @ weights / self.bandwidth + phase)
        return _add(_on_steps(rows), block)


def _rounded(edge: float) -> float:
    """The edge to twelve digits: the last ones differ between processors, and edges are compared and hashed."""
    return float(f"{edge:.12g}")


@lru_cache(maxsize=8)
def _random_features(width: int, dimensions: int, seed: int) -> tuple[Floats, Floats]:
    random = np.random.default_rng(seed)
    return random.standard_normal((width, dimensions)), random.uniform(0, 2 * np.pi, dimensions)


def _checked(values: Floats, axes: int) -> Floats:
    checked = np.asarray(values, dtype=np.float64)
    if checked.ndim != axes or not bool(np.isfinite(checked).all()):
        raise InvalidInput(f"the values of a feature have shape {checked.shape}; they must be finite, of {axes} axes")
    return checked


def _on_steps(rows: Floats) -> Floats:
    rounded: Floats = np.rint(rows / _STEP) * _STEP
    return rounded


def _add(rows: Floats, block: Integers) -> dict[int, Block]:
    """Sum rows [n, d] by block."""
    numbers, row_of, counts = _numbers(len(rows), block)
    sums = np.zeros((len(numbers), rows.shape[1]))
    np.add.at(sums, row_of, rows)
    return {number: Block(count, own) for number, count, own in zip(numbers, counts, sums, strict=True)}


def _count(bins: Integers, block: Integers, dimensions: int) -> dict[int, Block]:
    """Count bins [n] by block."""
    numbers, row_of, counts = _numbers(len(bins), block)
    cells = np.bincount(row_of * dimensions + bins, minlength=len(numbers) * dimensions)
    sums = cells.reshape(-1, dimensions).astype(np.float64)
    return {number: Block(count, own) for number, count, own in zip(numbers, counts, sums, strict=True)}


def _numbers(samples: int, block: Integers) -> tuple[list[int], Integers, list[int]]:
    """The blocks that occur, which of them each sample is in, and their numbers of samples."""
    if block.shape != (samples,):
        raise InvalidInput(f"{samples} values and blocks of shape {block.shape}; there must be one for each value")
    numbers, row_of, counts = np.unique(block, return_inverse=True, return_counts=True)
    return numbers.tolist(), row_of, counts.tolist()
