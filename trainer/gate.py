"""Whether a candidate may serve: paired with the serving model on the same holdout, not worse by a margin. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput
from importance.evidence import paired_auc


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """``margin``: AUC that a candidate may be worse; ``alpha``: one-sided level; ``min_samples`` of the holdout."""

    margin: float = 0.01
    alpha: float = 0.05
    min_samples: int = 200

    def __post_init__(self) -> None:
        """Refuse a gate that decides nothing."""
        if not 0 <= self.margin < 1 or not 0 < self.alpha < 0.5 or self.min_samples < 4:
            raise InvalidInput(f"{self} is not a valid gate: margin in [0, 1), alpha in (0, 0.5), at least 4 samples")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate decided, and why; ``difference`` in AUC with its one-sided lower bound, NaN when undecidable."""

    promote: bool
    reason: str
    difference: float
    lower_bound: float


def decide(
    labels: NDArray[np.int64],
    candidate: NDArray[np.float64],
    serving: NDArray[np.float64],
    subjects: NDArray[np.int64],
    policy: GatePolicy,
) -> Decision:
    """Promote when the lower bound of the paired difference in AUC lies above −margin (non-inferiority).

    All arguments [n], of the same samples; ``subjects`` numbers the subjects, whose events are not independent.
    """
    nan = float("nan")
    smallest = min(int((labels == 1).sum()), int((labels == 0).sum()))
    if len(labels) < policy.min_samples or smallest < 2:
        needed = f"the gate needs {policy.min_samples} and 2"
        return Decision(False, f"holdout has {len(labels)} samples, {smallest} of the rarer label; {needed}", nan, nan)
    auc = paired_auc(labels, candidate, serving, subjects)
    bound = auc.lower(policy.alpha)
    passed = bound > -policy.margin
    metrics = f"AUC {auc.candidate:.4f} against {auc.serving:.4f}, difference {auc.difference:+.4f}, bound {bound:+.4f}"
    reason = f"{metrics}: {'above' if passed else 'not above'} -{policy.margin:g}"
    if not passed and auc.difference > -policy.margin:  # on average good enough: the trainer continues from such a one
        reason += "; too uncertain yet: the next fine-tune continues from it, more holdout narrows it"
    return Decision(passed, reason, auc.difference, bound)
