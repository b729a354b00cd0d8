"""ADWIN: is there a cut of the window whose two sides have different means?

Bifet & Gavaldà 2007, "Learning from time-changing data with adaptive windowing". The window is kept as an exponential
histogram: buckets of 1, 2, 4, … observations, at most `_BUCKETS` of each size, with their sum and squared deviations.
"""

from dataclasses import dataclass
from math import log
from typing import ClassVar

import numpy as np

from importance.arrays import Floats
from importance.drift.block import Block
from importance.drift.detector import Pending, State, Verdict, check_at_least

_BUCKETS = 5  # M of the paper and of its implementations

_Bucket = tuple[float, float]  # the sum of its observations, and their squared deviations from their mean
_Rows = tuple[tuple[_Bucket, ...], ...]  # row i: the buckets of 2^i observations, oldest first


class AdwinState(State, frozen=True, tag="adwin"):
    """The window since the last alarm, and the number of samples in it."""

    rows: _Rows = ((),)
    samples: int = 0
    pending: Pending = Pending()


@dataclass(frozen=True, slots=True)
class Adwin:
    """Compare the means of the older and the newer blocks at every cut of the window.

    An observation is the mean of one block, or of several that have ``min_samples`` only together. A cut into n₀ and
    n₁ of n observations reports a change where

        |μ₀ − μ₁| > ε = √(2/m · σ² · ln(2/δ′)) + b · 2/(3m) · ln(2/δ′),   1/m = 1/n₀ + 1/n₁,   δ′ = δ / ln n,

    equation 3.1 of the paper, σ² the variance in the window. δ = 1 / ``expected_run_blocks`` bounds the chance of a
    false alarm at one block. The second term, of Bernstein's inequality, holds for observations within [0, 1]: b = 1.
    For a mean of s independent samples within [0, 1] it is b = 1/s (a mean over blocks, s samples a block, in the
    window); where samples of a block are alike, σ² has it, which is measured between blocks. With blocks of one sample
    this is ADWIN itself. The unit of samples should be about 1, as that of a label or of a loss in nats is.

    The verdict's statistic is |μ₀ − μ₁| at the cut where it is largest relative to ε, its threshold that ε.
    """

    name: ClassVar[str] = "adwin"
    expected_run_blocks: float
    min_samples: int = 1

    def __post_init__(self) -> None:
        """Refuse parameters without a meaning."""
        check_at_least(expected_run_blocks=(self.expected_run_blocks, 2), min_samples=(self.min_samples, 1))

    def start(self) -> AdwinState:
        """An empty window."""
        return AdwinState()

    def update(self, state: AdwinState, block: Block, seed: int) -> tuple[AdwinState, Verdict | None]:  # noqa: ARG002
        """Add a block and check every cut; None until there are two observations."""
        pending = state.pending.plus(block)
        if pending.count < self.min_samples:
            return AdwinState(state.rows, state.samples, pending), None
        after = AdwinState(_insert(state.rows, pending.mean), state.samples + pending.count)
        sizes, totals, deviations = _columns(after.rows)
        if len(sizes) < 2:
            return after, None
        verdict = self._check(sizes, totals, deviations, after.samples)
        return (self.start() if verdict.alarm else after), verdict

    def _check(self, sizes: Floats, totals: Floats, deviations: Floats, samples: int) -> Verdict:
        count, total = sizes.sum(), totals.sum()
        between = sizes * (totals / sizes - total / count) ** 2
        variance = (deviations + between).sum() / count
        older, sum_older = np.cumsum(sizes)[:-1], np.cumsum(totals)[:-1]
        inverse = 1 / older + 1 / (count - older)
        gap = np.abs(sum_older / older - (total - sum_older) / (count - older))
        bits = log(2 * log(count) * self.expected_run_blocks)
        bound = count / samples
        epsilon = np.sqrt(2 * inverse * variance * bits) + bound * 2 / 3 * inverse * bits
        cut = int(np.argmax(gap / epsilon))
        return Verdict(float(gap[cut]), float(epsilon[cut]), None, bool(gap[cut] > epsilon[cut]))


def _insert(rows: _Rows, value: float) -> _Rows:
    """Add an observation; where a row has too many buckets its two oldest merge into the next row."""
    merged = []
    carried: _Bucket | None = (value, 0.0)
    for exponent, row in enumerate((*rows, ())):
        if carried is None:
            merged.append(row)
            continue
        buckets = (*row, carried)
        carried = None
        if len(buckets) > _BUCKETS:
            (first, spread), (second, other), *rest = buckets
            apart = (first - second) ** 2 / 2 ** (exponent + 1)
            buckets, carried = tuple(rest), (first + second, spread + other + apart)
        merged.append(buckets)
    return tuple(merged if merged[-1] else merged[:-1])


def _columns(rows: _Rows) -> tuple[Floats, Floats, Floats]:
    """Number of observations, sum and squared deviations of each bucket, oldest first."""
    buckets = [(2.0**exponent, *bucket) for exponent, row in reversed(list(enumerate(rows))) for bucket in row]
    sizes, totals, deviations = np.array(buckets).reshape(-1, 3).T
    return sizes, totals, deviations
