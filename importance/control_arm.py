"""Whether selection helps, by paired differences to training on uniform samples, and when it must fall back. Pure.

Now and then a fine-tune is made twice, from the same base and with the same steps: on what selection weighted, and on
samples kept by chance alone. Both are compared on the same holdout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Final

import numpy as np

from importance.errors import InvalidInput
from importance.evidence import Interval

WINDOW: Final = 8
"""The latest comparisons that are pooled: of an older stream the past says little."""

MIN_RESULTS: Final = 3
"""Comparisons that a change needs.

Chance alone makes a change too: where both arms are alike, with a holdout error of .005 and a scatter of .01 between
runs, 3 % of histories fall back by the third comparison, 4 % by the eighth and 7 % by the 25th; with a holdout error of
.002 it is 9, 14 and 35 %.
"""

_Z = 1.959964  # of a two-sided 95 %


@dataclass(frozen=True, slots=True)
class Compared:
    """AUC on the holdout of training on selected samples minus that on uniform ones, with its standard error."""

    difference: float
    standard_error: float

    def __post_init__(self) -> None:
        """Refuse what cannot be pooled."""
        if not (abs(self.difference) <= 1 and 0 < self.standard_error < np.inf):
            raise InvalidInput(f"{self} cannot be pooled: a difference of AUCs, and a standard error above 0")


def advantage(results: Sequence[Compared]) -> Interval | None:
    """Return the pooled difference with its 95 % interval; None without results.

    The mean of the latest. Successive holdouts share most of their rows, so that errors are not independent:
    the interval is as wide as if all errors from the holdout were the same, or as the differences scatter between runs,
    whichever is wider.

    >>> pooled = advantage([Compared(0.01, 0.004), Compared(0.03, 0.004)])
    >>> round(pooled.estimate, 3), round(pooled.low, 3), round(pooled.high, 3)
    (0.02, 0.0, 0.04)
    """
    if not results:
        return None
    latest = results[-WINDOW:]
    difference = np.array([each.difference for each in latest])
    error = np.array([each.standard_error for each in latest])
    mean = float(difference.mean())
    between = float(difference.std(ddof=1)) / sqrt(len(latest)) if len(latest) > 1 else 0.0
    half = _Z * max(float(error.mean()), between)
    return Interval(mean, mean - half, mean + half)


def fallen_back(results: Sequence[Compared]) -> bool:
    """Return whether selection is to be replaced by uniform samples after these results, oldest first.

    It falls back when the interval lies below 0, and returns when the estimate over what came since is above 0: each
    needs `MIN_RESULTS` results since the last change. A function of the results alone, so that no restart changes it.

    >>> bad, good = [Compared(-0.02, 0.005)] * 3, [Compared(0.01, 0.005)] * 3
    >>> fallen_back(bad[:2]), fallen_back(bad), fallen_back(bad + good[:2]), fallen_back(bad + good)
    (False, True, True, False)
    """
    active, start = False, 0
    for end in range(1, len(results) + 1):
        pooled = advantage(results[max(start, end - WINDOW) : end])
        if pooled is None or end - start < MIN_RESULTS:
            continue
        if pooled.estimate > 0 if active else pooled.high < 0:
            active, start = not active, end
    return active
