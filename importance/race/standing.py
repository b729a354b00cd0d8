"""Who is ahead in a race: sums over results that add up over partitions and workers, in any order."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from scipy.special import logsumexp

from importance.arrays import Floats
from importance.errors import InvalidInput
from importance.evidence import Interval

BOUND: Final = 0.1
"""A result is a mean difference of Brier scores, cut to ± this: few reach it, and a bet needs a bound."""

BETS: Final = np.array([0.05, 0.1, 0.2, 0.4, 0.8])
_Z = 1.959964  # of a two-sided 95 %


@dataclass(frozen=True, eq=False, slots=True)
class Standing:
    """Sums over ``results`` of a race of K policies; policy 0 is uniform.

    A result is that of one subject in one block: x[k, j] = the Brier score of j − that of k, mean over the subject's
    samples, over `BOUND` and cut to [−1, 1]; positive where k is better. ``gains`` and ``squares`` [K] are Σ x and Σ x²
    against uniform. ``bets`` [K, K, L] = Σ ln(1 + λ·x[k, j]) for each λ of `BETS`: the log wealth of one who bets that
    k is better than j.
    """

    results: int
    gains: Floats
    squares: Floats
    bets: Floats

    def __post_init__(self) -> None:
        """Refuse sums of different races."""
        k = len(self.gains)
        if self.squares.shape != (k,) or self.bets.shape != (k, k, len(BETS)):
            shapes = f"{self.gains.shape}, {self.squares.shape}, {self.bets.shape}"
            raise InvalidInput(f"the sums of a race have shapes {shapes}; they must be [K], [K], [K, K, {len(BETS)}]")

    @classmethod
    def nothing(cls, policies: int) -> Self:
        """Return the standing before the first result."""
        return cls(0, np.zeros(policies), np.zeros(policies), np.zeros((policies, policies, len(BETS))))

    @classmethod
    def of(cls, brier: Floats) -> Self:
        """Return the sums of results [S, K], the mean Brier score of each subject by policy.

        >>> Standing.of(np.array([[0.25, 0.2]])).gains.tolist()
        [0.0, 0.4999999999999999]
        """
        x = np.clip((brier[:, None, :] - brier[:, :, None]) / BOUND, -1, 1)  # [S, K, K]: how much k is better than j
        return cls(
            len(brier),
            x[:, :, 0].sum(axis=0),
            (x[:, :, 0] ** 2).sum(axis=0),
            np.stack([np.log1p(bet * x).sum(axis=0) for bet in BETS], axis=-1),
        )

    @classmethod
    def from_flat(cls, results: int, sums: Floats, policies: int) -> Self:
        """Return the standing of K policies whose sums are ``sums`` [2K + K·K·L], as `flat` returns them."""
        gains, squares, bets = np.split(sums, [policies, 2 * policies])
        return cls(results, gains, squares, bets.reshape(policies, policies, len(BETS)))

    def flat(self) -> Floats:
        """Return all sums in one array [2K + K·K·L]."""
        return np.concatenate([self.gains, self.squares, self.bets.ravel()])

    def __add__(self, other: "Standing") -> "Standing":
        return Standing(
            self.results + other.results,
            self.gains + other.gains,
            self.squares + other.squares,
            self.bets + other.bets,
        )

    def since(self, other: "Standing") -> "Standing":
        """Return the sums of the results after ``other``, an earlier standing of the same race."""
        return Standing(
            self.results - other.results,
            self.gains - other.gains,
            self.squares - other.squares,
            self.bets - other.bets,
        )

    @property
    def log_e(self) -> Floats:
        """Return ln E [K, K] against the null hypothesis that k is no better than j, valid at every look.

        E = mean over λ of Π (1 + λ·x): under the null each factor has a mean of at most 1 given what came before, so E
        exceeds 1/α with probability at most α over the whole stream (Ville 1939; Waudby-Smith & Ramdas 2024). The
        factors of all partitions may be multiplied in any order.
        """
        evidence: Floats = logsumexp(self.bets, axis=-1) - np.log(len(BETS))
        return evidence

    def gain(self, policy: int) -> Interval:
        """Return the mean gain in Brier score over uniform, with the normal 95 % interval of a single look."""
        if self.results < 2:
            return Interval(0.0, -BOUND, BOUND)
        mean = self.gains[policy] / self.results
        variance = max(0.0, self.squares[policy] / self.results - mean**2) / (self.results - 1)
        half = _Z * variance**0.5
        return Interval(*(float(BOUND * value) for value in (mean, mean - half, mean + half)))
