"""Label shift: have the shares of outcomes changed?"""

from dataclasses import dataclass
from typing import ClassVar

from importance.arrays import Booleans, Floats
from importance.drift.two_sample import Group, TwoSample


@dataclass(frozen=True, slots=True)
class LabelShift(TwoSample):
    """Compare the counts of outcomes by Pearson's χ² of homogeneity.

        χ² = Σ_sides Σ_k (n_k − E_k)² / E_k,   E_k = n · (share of outcome k on both sides together)

    χ² and not the total variation ½ Σ |p_k − q_k|: most samples have the outcome ``none``, whose noise alone is larger
    than a doubled share of purchases; χ² divides each difference by its variance. Its distribution is that of the
    permuted blocks, not the χ² distribution, so small E_k do no harm. The sums of a block are counts by outcome.
    """

    name: ClassVar[str] = "label_shift"

    def statistic(self, reference: Group, window: Group) -> Floats:
        """χ² of the table of sides and outcomes."""
        total = reference.sums[0] + window.sums[0]
        seen = total > 0
        share = total[seen] / total.sum()
        return self._part(reference, seen, share) + self._part(window, seen, share)

    @staticmethod
    def _part(group: Group, seen: Booleans, share: Floats) -> Floats:
        expected = group.count * share
        part: Floats = ((group.sums[:, seen] - expected) ** 2 / expected).sum(axis=1)
        return part
