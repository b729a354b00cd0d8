"""Page–Hinkley: has the mean left the mean of all earlier blocks, in either direction?

The cumulative sum of Page 1954, of deviations from the running mean (Hinkley 1971), standardised as in the
self-starting scheme of Hawkins 1987, so that its false alarms follow from the expected run time alone.
"""

from dataclasses import dataclass
from math import copysign, expm1, log1p, sqrt
from typing import ClassVar

import msgspec

from importance.drift.block import Block
from importance.drift.detector import Pending, State, Verdict, check_at_least

_OVERSHOOT = 1.166  # 2ρ of Siegmund 1985: the mean excess of a sum of normal steps over two boundaries
_LIMIT = 4.0  # standard deviations that one observation counts at most; a normal one exceeds it once in 16,000


def average_run(threshold: float, allowance: float) -> float:
    """Mean number of observations N(0, 1) until one of two one-sided sums exceeds ``threshold`` h.

    Siegmund 1985, "Sequential Analysis", chapter 2: a one-sided sum takes (exp(2kb) − 2kb − 1) / 2k² with
    b = h + 1.166 and k the ``allowance``, two sums half of that.

    >>> round(average_run(4.0, 0.5)), round(average_run(5.0, 0.5))  # by exact methods 168 and 465
    (169, 469)
    """
    drift = 2 * allowance * (threshold + _OVERSHOOT)
    return (expm1(drift) - drift) / (4 * allowance**2)


def threshold_for(run: float, allowance: float) -> float:
    """The h > 0 for which `average_run` is ``run``.

    >>> round(threshold_for(169.3, 0.5), 2)
    4.0
    """
    drift = 1.0
    for _ in range(100):  # each step divides the error by 1 + drift + 4k² · run, or more
        drift = log1p(drift + 4 * allowance**2 * run)
    return drift / (2 * allowance) - _OVERSHOOT


class PageHinkleyState(State, frozen=True, tag="page_hinkley"):
    """Observations since the last alarm: number, mean and squared deviations; and the two cumulative sums."""

    count: int = 0
    mean: float = 0.0
    deviations: float = 0.0
    up: float = 0.0
    down: float = 0.0
    pending: Pending = Pending()


@dataclass(frozen=True, slots=True)
class PageHinkley:
    """Sum the standardised deviations of block means from the mean of all blocks before.

    An observation xₙ is the mean of one block, or of several that have ``min_samples`` only together. With x̄ and s of
    the n − 1 observations before it,

        Tₙ = √((n − 1)/n) · (xₙ − x̄)/s,   zₙ = Φ⁻¹(F(Tₙ)),   F of Student's t with n − 2 degrees of freedom,

    are independent and N(0, 1) for normal observations (Hawkins 1987, "Self-starting CUSUM charts for location and
    scale"): no error of an estimated reference raises false alarms. z counts up to ±4, so that one odd block raises
    none. Then

        g⁺ ← max(0, g⁺ + z − k),   g⁻ ← max(0, g⁻ − z − k),   an alarm where the larger one exceeds h.

    k is ``allowance``, half of the shift that is found fastest, in standard deviations of a block mean; h gives an
    average run of ``expected_run_blocks`` by `average_run`. The first ``reference_blocks`` observations only make the
    reference. The verdict's statistic is max(g⁺, g⁻), its threshold h.
    """

    name: ClassVar[str] = "page_hinkley"
    expected_run_blocks: float
    reference_blocks: int = 20
    allowance: float = 0.5
    min_samples: int = 1

    def __post_init__(self) -> None:
        """Refuse parameters without a meaning."""
        check_at_least(
            reference_blocks=(self.reference_blocks, 3),
            allowance=(self.allowance, 0.1),
            min_samples=(self.min_samples, 1),
            expected_run_blocks=(self.expected_run_blocks, average_run(0.0, self.allowance)),
        )

    @property
    def threshold(self) -> float:
        """The threshold h of the cumulative sums."""
        return threshold_for(self.expected_run_blocks, self.allowance)

    def start(self) -> PageHinkleyState:
        """No observation."""
        return PageHinkleyState()

    def update(
        self,
        state: PageHinkleyState,
        block: Block,
        seed: int,  # noqa: ARG002
    ) -> tuple[PageHinkleyState, Verdict | None]:
        """Add a block to the sums; None while it only makes the reference."""
        pending = state.pending.plus(block)
        if pending.count < self.min_samples:
            return msgspec.structs.replace(state, pending=pending), None
        value = pending.mean
        count, gap = state.count + 1, value - state.mean
        up = down = 0.0
        if state.count >= self.reference_blocks:
            z = _standardised(gap, state)
            up = max(0.0, state.up + z - self.allowance)
            down = max(0.0, state.down - z - self.allowance)
        deviations = state.deviations + gap * gap * state.count / count
        after = PageHinkleyState(count, state.mean + gap / count, deviations, up, down)
        if state.count < self.reference_blocks:
            return after, None
        statistic, threshold = max(up, down), self.threshold
        verdict = Verdict(statistic, threshold, None, statistic > threshold)
        return (self.start() if verdict.alarm else after), verdict


def _standardised(gap: float, before: PageHinkleyState) -> float:
    """The normal deviate of an observation that lies ``gap`` above the mean of those before it, within ±4."""
    from scipy.special import ndtri, stdtr  # takes half a second, and only drift needs it

    if gap == 0.0:
        return 0.0
    deviation = sqrt(before.deviations / (before.count - 1))
    if deviation == 0.0:
        return copysign(_LIMIT, gap)
    size = sqrt(before.count / (before.count + 1)) * abs(gap) / deviation
    tail = float(stdtr(before.count - 1, -size))  # the lower tail keeps its digits
    return copysign(min(_LIMIT, -float(ndtri(tail))), gap)
