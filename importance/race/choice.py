"""Whom the next fine-tune follows: a switch needs decisive evidence against the policy that is followed now."""

from dataclasses import dataclass
from math import log
from typing import Final

from importance.race.standing import Standing

LEVEL: Final = 0.05
"""The probability that an era ends with a switch to a policy that is no better, at most."""

ERA_RESULTS: Final = 20_000
"""Results after which the evidence starts again, so that a long past does not outweigh a stream that has changed."""


@dataclass(frozen=True, eq=False, slots=True)
class Choice:
    """The policy that is followed, by its number, and the standing of the race when its era started."""

    policy: int
    start: Standing


def choose(choice: Choice, standing: Standing) -> Choice:
    """Switch to a policy whose evidence against the one that is followed is decisive; else keep it.

    Decisive: E ≥ (K − 1) / `LEVEL` over the results of the era, the bound for K − 1 rivals that are read at any time.
    The way back needs as much evidence, from results that came after the switch: that is the hysteresis.

    >>> import numpy as np
    >>> start = Choice(0, Standing.nothing(2))
    >>> better = Standing.of(np.tile([0.25, 0.24], (200, 1)))
    >>> choose(start, better).policy, choose(start, Standing.of(np.tile([0.25, 0.249], (200, 1)))).policy
    (1, 0)
    """
    era = standing.since(choice.start)
    evidence = era.log_e[:, choice.policy]
    best = int(evidence.argmax())
    if best != choice.policy and evidence[best] >= threshold(len(evidence)):
        return Choice(best, standing)
    return Choice(choice.policy, standing) if era.results >= ERA_RESULTS else choice


def threshold(policies: int) -> float:
    """Return ln E from which on evidence is decisive."""
    return log(max(1, policies - 1) / LEVEL)
