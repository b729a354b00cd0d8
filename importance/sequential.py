"""Evidence that one model is better than another, valid at every look at a stream of paired results.

E-processes: under the null hypothesis one exceeds 1/α with probability at most α over the whole stream, however often
it is read (Ville 1939). So a test may be polled at any time and ended at E ≥ 20, at a level of 5 %. Pure functions of
counts: a result is that of one subject or query, won, lost or tied by the candidate, because events of one subject are
not independent. The order of results does not matter.
"""

from dataclasses import dataclass
from math import log
from typing import Final

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln, logsumexp

from importance.arrays import Floats
from importance.errors import InvalidInput

LOG_DECISIVE: Final = log(20)
"""ln E from which on a hypothesis is decided: the level is 5 %."""

_BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])


@dataclass(frozen=True, slots=True)
class Results:
    """How many subjects each of two models ordered better than the other, and how many both ordered equally well.

    >>> Results(3, 1, 10) + Results(wins=1)
    Results(wins=4, losses=1, ties=10)
    """

    wins: int = 0
    losses: int = 0
    ties: int = 0

    def __post_init__(self) -> None:
        """Refuse counts below 0."""
        if min(self.wins, self.losses, self.ties) < 0:
            raise InvalidInput(f"{self} is not a valid count of results: each number must be at least 0")

    def __add__(self, other: "Results") -> "Results":
        return Results(self.wins + other.wins, self.losses + other.losses, self.ties + other.ties)

    @property
    def total(self) -> int:
        """Return how many subjects were compared."""
        return self.wins + self.losses + self.ties

    @property
    def log_superiority(self) -> float:
        """Return ln E of superiority: see the function of that name."""
        return float(log_superiority(self.wins, self.losses))

    @property
    def log_inferiority(self) -> float:
        """Return ln E that the candidate is the worse of the two: superiority, mirrored."""
        return float(log_superiority(self.losses, self.wins))

    def log_non_inferiority(self, margin: float) -> float:
        """Return ln E of non-inferiority: see the function of that name."""
        return float(log_non_inferiority(self.wins, self.losses, self.ties, margin))


def log_superiority(wins: ArrayLike, losses: ArrayLike) -> Floats:
    """Return ln E against the null hypothesis that a win is at most as probable as a loss; of any one shape.

    With b wins, c losses and B the beta function, the likelihood ratio of a win's probability θ > ½ under Jeffreys'
    prior to θ = ½ is

        ln E = (b + c) ln 2 + ln B(b + ½, c + ½) − ln B(½, ½) + ln 2·P(Beta(b + ½, c + ½) > ½)

    (Robbins 1970, one-sided). The last probability is the lower tail of Beta(c + ½, b + ½), which keeps its digits when
    it is small. Ties do not count. Where even that tail is below the smallest float, E is 0.

    >>> log_superiority([0, 8, 30], [0, 8, 10]).round(3).tolist()
    [0.0, -1.628, 3.847]
    """
    b, c = np.asarray(wins, np.float64) + 0.5, np.asarray(losses, np.float64) + 0.5
    tail = betainc(c, b, 0.5)
    with np.errstate(divide="ignore"):
        evidence: Floats = (b + c - 1) * log(2) + betaln(b, c) - betaln(0.5, 0.5) + np.log(2 * tail)
    return evidence


def log_non_inferiority(wins: ArrayLike, losses: ArrayLike, ties: ArrayLike, margin: float) -> Floats:
    """Return ln E against the null hypothesis that wins are rarer than losses by ``margin`` δ or more.

    A result d ∈ {−1, 0, 1} has a mean of at most −δ under it, so each bet Π (1 + λ(d + δ)) is fair at best, and

        E = mean over λ of (1 + λ(1 + δ))^wins · (1 − λ(1 − δ))^losses · (1 + λδ)^ties

    with λ ∈ {.02, .05, .1, .2, .4, .8}·.99/(1 − δ) (Waudby-Smith & Ramdas 2024). Ties count: equal models gain by them.

    >>> log_non_inferiority([0, 100, 10], [0, 100, 100], [0, 1800, 1890], margin=0.02).round(2).tolist()
    [0.0, 2.59, -2.64]
    """
    if not 0 < margin < 1:
        raise InvalidInput(f"the margin of non-inferiority is {margin}; it must lie between 0 and 1")
    bets = _BETS * 0.99 / (1 - margin)
    b, c, t = (np.asarray(counts, np.float64)[..., None] for counts in (wins, losses, ties))
    gains = b * np.log1p(bets * (1 + margin)) + c * np.log1p(-bets * (1 - margin)) + t * np.log1p(bets * margin)
    evidence: Floats = logsumexp(gains, axis=-1) - log(len(bets))
    return evidence
