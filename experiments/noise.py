"""Deliberately wrong labels: how many, and of which examples. Pure; evaluation uses the true labels."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from importance.arrays import Floats
from importance.errors import InvalidInput


class NoiseKind(StrEnum):
    """Which examples are mislabelled: all with equal probability, or rather those whose classes are easily confused."""

    UNIFORM = "uniform"
    CONFUSABLE = "confusable"


@dataclass(frozen=True, order=True, slots=True)
class Noise:
    """A share of wrong labels."""

    rate: float = 0.0
    kind: NoiseKind = NoiseKind.UNIFORM

    def __post_init__(self) -> None:
        """Refuse a rate from which no class can be distinguished."""
        if not 0 <= self.rate < 0.5:
            raise InvalidInput(f"the label noise is {self.rate}; it must be at least 0 and below 0.5")

    def __str__(self) -> str:
        return f"{self.rate:.0%} {self.kind}".replace("%", " %") if self.rate else "none"


def flipped(noise: Noise, ambiguity: Floats, random: np.random.Generator) -> NDArray[np.bool_]:
    """Return which of n labels are flipped: exactly round(rate · n) of them.

    Uniform noise draws all with equal probability. Confusable noise draws without replacement in proportion to
    ``ambiguity`` [n] ≥ 0, by the largest ln a − ln(−ln u) (Gumbel's trick): similar examples are wrong together.

    >>> int(flipped(Noise(0.2), np.ones(10), np.random.default_rng(0)).sum())
    2
    """
    weight = ambiguity if noise.kind is NoiseKind.CONFUSABLE else np.ones(len(ambiguity))
    with np.errstate(divide="ignore"):
        order = np.argsort(-(np.log(weight) + random.gumbel(size=len(weight))), kind="stable")
    wrong = np.zeros(len(weight), bool)
    wrong[order[: round(noise.rate * len(weight))]] = True
    return wrong
