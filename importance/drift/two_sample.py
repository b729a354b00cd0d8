"""Two-sample tests between the first and the latest blocks, with a null distribution by permutation of blocks.

Samples of one block are alike (an hour of one shop), so permuting samples would find a difference between any two
hours. Permuting whole blocks asks whether the latest blocks differ more than the others do among themselves.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import floor
from typing import ClassVar

import msgspec
import numpy as np

from importance.arrays import Floats
from importance.drift.block import Block
from importance.drift.detector import State, Verdict, check_at_least
from importance.errors import InvalidInput


class TwoSampleState(State, frozen=True, tag="two_sample"):
    """The reference and the window, oldest block first, each block as (samples, sums as float64 bytes).

    ``blocks`` counts those since the reference was complete.
    """

    reference: tuple[tuple[int, bytes], ...] = ()
    window: tuple[tuple[int, bytes], ...] = ()
    blocks: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """The samples of some blocks, for each of P divisions: their number [P, 1] and their sums [P, d]."""

    count: Floats
    sums: Floats


@dataclass(frozen=True, slots=True)
class TwoSample(ABC):
    """What all two-sample tests share: all but their name and statistic.

    The first ``reference_blocks`` blocks are the reference, the last ``window_blocks`` of those that follow are the
    window; they are compared after every ``stride`` blocks. Both spans should cover whole cycles of the stream (days,
    weeks), or a cycle is found as drift. Samples below ``min_samples`` in either give no verdict.

    p = (1 + number of permutations with a statistic as large) / (1 + ``permutations``): a permutation test with the
    observed division among them, exact for exchangeable blocks (Phipson & Smyth 2010). An alarm is p ≤ α with
    α = ``stride`` / ``expected_run_blocks``; the threshold is the (1 − α) quantile of the permuted statistics, so that
    the statistic exceeds it at the same time.
    """

    name: ClassVar[str]
    expected_run_blocks: float
    reference_blocks: int = 48
    window_blocks: int = 24
    stride: int = 6
    permutations: int = 9_999
    min_samples: int = 200

    def __post_init__(self) -> None:
        """Refuse parameters that can never raise an alarm, or make no test."""
        check_at_least(
            reference_blocks=(self.reference_blocks, 2),
            window_blocks=(self.window_blocks, 1),
            stride=(self.stride, 1),
            min_samples=(self.min_samples, 1),
            expected_run_blocks=(self.expected_run_blocks, 2 * self.stride),
        )
        check_at_least(permutations=(self.permutations, self.expected_run_blocks / self.stride - 1))

    @property
    def alpha(self) -> float:
        """The chance of a false alarm at one check."""
        return self.stride / self.expected_run_blocks

    def start(self) -> TwoSampleState:
        """No block."""
        return TwoSampleState()

    @abstractmethod
    def statistic(self, reference: Group, window: Group) -> Floats:
        """How far reference and window are apart: [P] numbers of at least 0, a larger one for a larger difference."""

    def grouped(self, sums: Floats) -> Floats:
        """The sums [blocks, d] as the statistic reads them; must not depend on which blocks are the window."""
        return sums

    def update(self, state: TwoSampleState, block: Block, seed: int) -> tuple[TwoSampleState, Verdict | None]:
        """Add a block; compare where it completes a stride."""
        after, due = self.advance(state, block)
        if not due:
            return after, None
        verdict = self._compare(after, seed)
        return (self.start() if verdict.alarm else after), verdict

    def advance(self, state: TwoSampleState, block: Block) -> tuple[TwoSampleState, bool]:
        """The state with the block in its reference or window; and whether they are now to be compared."""
        if state.reference and len(state.reference[0][1]) != block.sums.nbytes:
            dimensions = len(state.reference[0][1]) // block.sums.itemsize
            raise InvalidInput(f"the sums of a block have shape {block.sums.shape}; those before had ({dimensions},)")
        if block.count == 0:
            return state, False
        kept = (block.count, block.sums.astype("<f8").tobytes())
        if len(state.reference) < self.reference_blocks:
            return msgspec.structs.replace(state, reference=(*state.reference, kept)), False
        window = (*state.window, kept)[-self.window_blocks :]
        after = TwoSampleState(state.reference, window, state.blocks + 1)
        full = len(window) == self.window_blocks
        enough = min(sum(count for count, _ in side) for side in (state.reference, window)) >= self.min_samples
        return after, full and enough and after.blocks % self.stride == 0

    def _compare(self, state: TwoSampleState, seed: int) -> Verdict:
        blocks = (*state.reference, *state.window)
        counts = np.array([count for count, _ in blocks], dtype=np.float64)
        sums = self.grouped(np.stack([np.frombuffer(kept, dtype="<f8") for _, kept in blocks]))
        inside = self._divisions(len(state.reference), len(blocks), seed)
        window = Group(inside @ counts[:, None], inside @ sums)
        reference = Group(counts.sum() - window.count, sums.sum(axis=0) - window.sums)
        found = self.statistic(reference, window)
        observed, permuted = float(found[0]), np.sort(found[1:])[::-1]
        as_large = int((permuted >= observed).sum())
        allowed = floor(self.alpha * (1 + self.permutations) + 1e-9)
        threshold = float(permuted[allowed - 1])
        return Verdict(observed, threshold, (1 + as_large) / (1 + self.permutations), 1 + as_large <= allowed)

    def _divisions(self, reference: int, blocks: int, seed: int) -> Floats:
        """Which blocks are in the window [1 + permutations, blocks]: first as observed, then as permuted."""
        random = np.random.default_rng(seed)
        order = random.random((self.permutations, blocks)).argsort(axis=1)
        observed = (np.arange(blocks) >= reference).astype(np.float64)
        return np.vstack([observed, observed[order]])
