"""Totals of what a run selected, over its rounds: mainly the share of wrong labels, as drawn and as weighted."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from experiments.policies import Selection
from importance.arrays import Floats
from importance.estimates import share


@dataclass(slots=True)
class SelectionTotals:
    """Sums over the rounds of a run."""

    selected: int = 0
    wrong: int = 0
    mass: float = 0.0
    wrong_mass: float = 0.0
    drawn: list[tuple[Floats, NDArray[np.bool_]]] = field(default_factory=list)
    effective: list[float] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)

    def add(self, selection: Selection, wrong: NDArray[np.bool_]) -> None:
        """Add one round: the selection, and which of its n rows are mislabelled."""
        self.selected += len(wrong)
        self.wrong += int(wrong.sum())
        self.mass += float(selection.weights.sum())
        self.wrong_mass += float(selection.weights[wrong].sum())
        self.drawn.append((selection.probability, wrong))
        self.effective.append(selection.effective_share)
        self.clipped.append(selection.clipped_mass)

    def noise(self) -> dict[str, float]:
        """Return the raw share, the share in the loss, and the unbiased share Σ f/p / Σ 1/p with its 95 % interval.

        The interval is that of `importance.estimates.share`; it holds only where p is a probability (`Strategy.draws`).
        """
        probability, wrong = map(np.concatenate, zip(*self.drawn, strict=True))
        found = share(wrong, probability)
        return {
            "noise_raw": self.wrong / self.selected,
            "noise_loss": self.wrong_mass / self.mass,
            "noise_weighted": found.value,
            "noise_low": found.low,
            "noise_high": found.high,
        }
