"""What a run selected, added up over its rounds: above all, how many wrong labels, as drawn and as weighted."""

from dataclasses import dataclass, field
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from weir.benchmark.policies import Selection

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Ledger:
    """What was selected, added up over the rounds."""

    selected: int = 0
    wrong: int = 0
    mass: float = 0.0
    wrong_mass: float = 0.0
    squares: float = 0.0
    variance_parts: list[tuple[Floats, NDArray[np.bool_]]] = field(default_factory=list)
    effective: list[float] = field(default_factory=list)
    clipped: list[float] = field(default_factory=list)

    def add(self, selection: Selection, wrong: NDArray[np.bool_]) -> None:
        """One round: what was chosen, and which of it is mislabelled [n]."""
        self.selected += len(wrong)
        self.wrong += int(wrong.sum())
        self.mass += float(selection.weights.sum())
        self.wrong_mass += float(selection.weights[wrong].sum())
        self.variance_parts.append((selection.probability, wrong))
        self.effective.append(selection.effective_share)
        self.clipped.append(selection.clipped_mass)

    def noise(self) -> dict[str, float]:
        """Raw share, the share that the loss sees, and the unbiased one Σ f/p / Σ 1/p with Wilson's interval.

        n_eff = min(μ(1 − μ)/V̂, (Σ1/p)²/Σ1/p²), V̂ = Σ (1 − p)/p²·(f − μ)² / (Σ1/p)².
        """
        p = np.concatenate([probability for probability, _ in self.variance_parts])
        f = np.concatenate([wrong for _, wrong in self.variance_parts]).astype(np.float64)
        total = float((1 / p).sum())
        share = float((f / p).sum()) / total
        variance = float(((1 - p) / p**2 * (f - share) ** 2).sum()) / total**2
        kish = total**2 / float((1 / p**2).sum())
        effective = min(share * (1 - share) / variance if variance > 0 and 0 < share < 1 else inf, kish)
        low, high = wilson(share, effective)
        return {
            "noise_raw": self.wrong / self.selected,
            "noise_loss": self.wrong_mass / self.mass,
            "noise_weighted": share,
            "noise_low": low,
            "noise_high": high,
        }


def wilson(share: float, n: float, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``n`` draws.

    >>> [round(bound, 3) for bound in wilson(0.2, 100)]
    [0.133, 0.289]
    """
    middle, spread = share + z**2 / (2 * n), z * sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return (middle - spread) / (1 + z**2 / n), (middle + spread) / (1 + z**2 / n)
