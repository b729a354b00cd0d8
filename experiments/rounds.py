"""The rounds of a run, and their cost in forward passes. Pure arithmetic, independent of data and models."""

from dataclasses import dataclass

from experiments.learner import BATCH

ROUND = 4_096
"""Candidates between two updates of the scoring model, unless fewer than a batch of them would be kept."""
TRAINING_COST = 3.0
"""A training step on one example, in forward passes: the backward pass costs twice the forward one."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The rounds of a cell."""

    candidates: int
    kept: int
    rounds: int


def plan(pool: int, epochs: int, ratio: float) -> Plan:
    """Plan rounds of about `ROUND` candidates: whole batches are kept, ratio · epochs · pool rows in all.

    >>> plan(47_000, 3, 0.1)
    Plan(candidates=3840, kept=384, rounds=37)
    """
    kept = BATCH * max(1, round(ROUND * ratio / BATCH))
    candidates = round(kept / ratio)
    if candidates > pool:  # less than a batch of a small pool
        candidates, kept = pool, max(1, round(pool * ratio))
    return Plan(candidates, kept, max(1, round(epochs * pool / candidates)))


def matched_ratio(ratio: float, cost: float, reads_again: int = 0, candidates: int = 1) -> float:
    """Return the keep ratio of a random policy that costs as much as one that also scores every candidate.

    A scoring policy spends cost + reads_again/candidates + 3·ratio forward passes a candidate, a random one 3·ratio;
    never more than all.

    >>> matched_ratio(0.1, 1.0), matched_ratio(0.1, 1.0, reads_again=1_920, candidates=3_840)
    (0.43, 0.6)
    """
    return round(min(1.0, ratio + (cost + reads_again / candidates) / TRAINING_COST), 2)
