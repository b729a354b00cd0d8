"""Population stability index: have the shares of groups of values changed?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from importance.arrays import Floats, Integers
from importance.drift.two_sample import Group, TwoSample

_SMOOTHING = 0.5  # samples added to each group of each side, so that an empty group has a logarithm


@dataclass(frozen=True, slots=True)
class Psi(TwoSample):
    """Compare the shares of ``groups`` groups between the reference and the window.

        PSI = Σ_g (p_g − q_g) · ln(p_g / q_g),   p_g = (n_g + ½) / (n + G/2),

    p of the reference and q of the window: the symmetric divergence of Kullback & Leibler 1951 (Jeffreys' divergence).
    The sums of a block are the counts of fine bins in order; neighbouring bins make groups of about equal size, by the
    quantiles of reference and window together, so that the groups do not depend on the division under test. Where
    ``groups`` is 0 every bin is a group: for categories, which have no order.
    """

    name: ClassVar[str] = "psi"
    groups: int = 10

    def grouped(self, sums: Floats) -> Floats:
        """The counts of groups of bins."""
        groups: Floats = np.add.reduceat(sums, self._starts(sums.sum(axis=0)), axis=1)
        return groups

    def statistic(self, reference: Group, window: Group) -> Floats:
        """The index."""
        p, q = _shares(reference.sums), _shares(window.sums)
        divergence: Floats = ((p - q) * np.log(p / q)).sum(axis=1)
        return divergence

    def _starts(self, counts: Floats) -> Integers:
        """The first bin of each group."""
        if not self.groups:
            return np.arange(len(counts))
        middle = (np.cumsum(counts) - counts / 2) / counts.sum()
        group = np.minimum(middle * self.groups, self.groups - 1).astype(np.int64)
        return np.flatnonzero(np.diff(group, prepend=-1))


def _shares(counts: Floats) -> Floats:
    smoothed = counts + _SMOOTHING
    shares: Floats = smoothed / smoothed.sum(axis=1, keepdims=True)
    return shares
