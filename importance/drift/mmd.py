"""Maximum mean discrepancy: has the distribution of vectors changed?"""

from dataclasses import dataclass
from typing import ClassVar

from importance.arrays import Floats
from importance.drift.two_sample import Group, TwoSample


@dataclass(frozen=True, slots=True)
class Mmd(TwoSample):
    """Compare the mean features φ of the reference and of the window: ‖mean φ_ref − mean φ_win‖².

    With the random features of `importance.drift.features.RandomFourier`, whose products approximate a Gaussian kernel
    (Rahimi & Recht 2007), it approximates the squared maximum mean discrepancy of that kernel (Gretton et al. 2012,
    the biased estimate), which is 0 only for equal distributions.
    """

    name: ClassVar[str] = "mmd"

    def statistic(self, reference: Group, window: Group) -> Floats:
        """The squared distance of the means."""
        gap = reference.sums / reference.count - window.sums / window.count
        distance: Floats = (gap * gap).sum(axis=1)
        return distance
