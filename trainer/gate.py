"""Whether a candidate may serve: paired with the serving model on the same holdout, not worse by a margin. Pure.

Overall the candidate has to be shown not to be worse; a slice of the holdout refuses it only where it is shown to be.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from importance.arrays import Booleans, Floats, Integers
from importance.errors import InvalidInput
from importance.evidence import PairedAuc, holm, paired_auc
from trainer.gate_check import Check

OVERALL = "overall"
MIN_OF_RARER_LABEL, MIN_SUBJECTS = 20, 10
"""Of a slice, with less of which its test is not sure enough of its level."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """``margin``: AUC that a candidate may be worse; ``alpha``: one-sided level; ``min_samples`` of the holdout.

    Slices are by surface, by the values of ``attribute``, and new items. A candidate may be at most
    ``max_size_ratio`` times as large and ``max_latency_ratio`` times as slow as the serving version; 0: not measured.
    """

    margin: float = 0.01
    alpha: float = 0.05
    min_samples: int = 200
    attribute: str = "category"
    max_size_ratio: float = 2.0
    max_latency_ratio: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a gate that decides nothing."""
        if not 0 <= self.margin < 1 or not 0 < self.alpha < 0.5 or self.min_samples < 4:
            raise InvalidInput(f"{self} is not a valid gate: margin in [0, 1), alpha in (0, 0.5), at least 4 samples")
        if not min(self.max_size_ratio, self.max_latency_ratio) >= 0:
            raise InvalidInput(f"{self} is not a valid gate: a ratio must be at least 0")


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate decided, and why; ``difference`` in AUC with its one-sided lower bound, NaN when undecidable."""

    promote: bool
    reason: str
    difference: float
    lower_bound: float
    checks: tuple[Check, ...]

    def with_checks(self, checks: tuple[Check, ...]) -> "Decision":
        """Return the decision after further checks, which may refuse what was promoted."""
        refusing = [check for check in checks if check.refuses]
        reason = "; ".join([self.reason, *(f"refused by {check.name}: {check.reason}" for check in refusing)])
        return replace(self, promote=self.promote and not refusing, reason=reason, checks=(*self.checks, *checks))


def decide(
    labels: Integers,
    candidate: Floats,
    serving: Floats,
    subjects: Integers,
    policy: GatePolicy,
    slices: Mapping[str, Booleans] | None = None,
) -> Decision:
    """Promote when the lower bound of the paired difference in AUC lies above −margin (non-inferiority).

    A slice refuses the candidate when it is significantly worse there than −margin, by Holm's method over all slices
    at level alpha; a slice of too few samples decides nothing. All arrays [n], of the same samples; ``subjects``
    numbers the subjects, whose events are not independent; ``slices`` are by name.
    """
    nan = float("nan")
    smallest = min(int((labels == 1).sum()), int((labels == 0).sum()))
    if len(labels) >= policy.min_samples and len(np.unique(subjects)) < 2:
        reason = "all samples of the holdout are of one subject; the gate needs 2"
        return Decision(False, reason, nan, nan, (Check(OVERALL, False, True, {"samples": len(labels)}, reason),))
    if len(labels) < policy.min_samples or smallest < 2:
        needed = f"the gate needs {policy.min_samples} and 2"
        reason = f"holdout has {len(labels)} samples, {smallest} of the rarer label; {needed}"
        sizes = {"samples": len(labels), "rarer label": smallest}
        return Decision(False, reason, nan, nan, (Check(OVERALL, False, True, sizes, reason),))
    auc = paired_auc(labels, candidate, serving, subjects)
    bound = auc.lower(policy.alpha)
    passed = bound > -policy.margin
    reason = f"{_compared(auc)}, bound {bound:+.4f}: {'above' if passed else 'not above'} -{policy.margin:g}"
    overall = Check(OVERALL, passed, True, _statistics(auc, labels) | {"bound": bound}, reason)
    if not passed and auc.difference > -policy.margin:  # on average good enough: the trainer continues from such a one
        reason += "; too uncertain yet: the next fine-tune continues from it, more holdout narrows it"
    decision = Decision(passed, reason, auc.difference, bound, (overall,))
    return decision.with_checks(_of_slices(labels, candidate, serving, subjects, policy, slices or {}))


def _of_slices(
    labels: Integers,
    candidate: Floats,
    serving: Floats,
    subjects: Integers,
    policy: GatePolicy,
    slices: Mapping[str, Booleans],
) -> tuple[Check, ...]:
    compared = {
        name: (paired_auc(labels[inside], candidate[inside], serving[inside], subjects[inside]), labels[inside])
        for name, inside in slices.items()
        if _is_testable(labels[inside], subjects[inside])
    }
    p_values = holm([auc.p_below(-policy.margin) for auc, _ in compared.values()])
    return tuple(
        _of_slice(name, auc, of, p_value, policy)
        for (name, (auc, of)), p_value in zip(compared.items(), p_values, strict=True)
    )


def _is_testable(labels: Integers, subjects: Integers) -> bool:
    rarer = min(int((labels == 1).sum()), int((labels == 0).sum()))
    return rarer >= MIN_OF_RARER_LABEL and len(np.unique(subjects)) >= MIN_SUBJECTS


def _of_slice(name: str, auc: PairedAuc, labels: Integers, p_value: float, policy: GatePolicy) -> Check:
    passed = p_value > policy.alpha
    how = "not significantly" if passed else "significantly"
    reason = f"{_compared(auc)}, {how} below -{policy.margin:g} (p {p_value:.3g} by Holm)"
    return Check(name, passed, True, _statistics(auc, labels) | {"p": p_value}, reason)


def _compared(auc: PairedAuc) -> str:
    return f"AUC {auc.candidate:.4f} against {auc.serving:.4f}, difference {auc.difference:+.4f}"


def _statistics(auc: PairedAuc, labels: Integers) -> dict[str, float]:
    return {
        "samples": len(labels),
        "candidate": auc.candidate,
        "serving": auc.serving,
        "difference": auc.difference,
        "standard error": auc.standard_error,
    }
