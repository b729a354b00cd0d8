"""What the results of a candidate in shadow, or of the version before the active one, decide. Pure."""

from dataclasses import dataclass
from math import exp
from typing import Literal

from importance.errors import InvalidInput
from importance.sequential import LOG_DECISIVE, Results

Hypothesis = Literal["non_inferiority", "superiority"]
_LARGEST = 700.0  # e to the power of more is no float


@dataclass(frozen=True, slots=True)
class ShadowPolicy:
    """A candidate is promoted by evidence of ``promote_by``, non-inferiority by ``margin``; 20 : 1 decides.

    The margin is of the share of subjects that it wins less the share that it loses. After ``max_seconds`` or
    ``max_results`` without evidence the active version is kept.
    """

    promote_by: Hypothesis = "non_inferiority"
    margin: float = 0.02
    max_seconds: float = 86_400.0
    max_results: int = 20_000

    def __post_init__(self) -> None:
        """Refuse a policy that decides nothing."""
        if not 0 < self.margin < 1 or not self.max_seconds > 0 or self.max_results < 1:
            raise InvalidInput(f"{self} is not valid: margin between 0 and 1, at least some seconds and 1 result")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the compared version should be the active one, and why: a promotion, or a rollback to it."""

    activate: bool
    reason: str


def judge_shadow(results: Results, seconds: float, policy: ShadowPolicy) -> Verdict | None:
    """Return whether to promote the candidate after ``seconds`` of shadow; None while that is open.

    >>> judge_shadow(Results(40, 10, 200), 60.0, ShadowPolicy("superiority")).reason
    '40 subjects won, 10 lost, 200 tied; E of superiority 3.43e+03'
    """
    by_margin = policy.promote_by == "non_inferiority"
    evidence = results.log_non_inferiority(policy.margin) if by_margin else results.log_superiority
    if evidence >= LOG_DECISIVE:
        name = f"non-inferiority by {policy.margin:g}" if by_margin else "superiority"
        return Verdict(True, f"{counted(results)}; E of {name} {_power(evidence)}")
    if results.log_inferiority >= LOG_DECISIVE:
        return Verdict(False, f"{counted(results)}; E of inferiority {_power(results.log_inferiority)}")
    if results.total >= policy.max_results or seconds >= policy.max_seconds:
        spent = f"undecided after {seconds:.0f} s of shadow, E of promotion {_power(evidence)}"
        return Verdict(False, f"{counted(results)}; {spent}: the active version is kept")
    return None


def judge_mirror(results: Results, max_results: int) -> Verdict | None:
    """Return whether the version before is the better one, by its results; None while that is open.

    >>> judge_mirror(Results(30, 5, 100), 5_000).reason
    'against the version before: 5 subjects won, 30 lost, 100 tied; E that it was better 5.34e+03'
    """
    seen = f"against the version before: {counted(Results(results.losses, results.wins, results.ties))}"
    if results.log_superiority >= LOG_DECISIVE:
        return Verdict(True, f"{seen}; E that it was better {_power(results.log_superiority)}")
    if results.total >= max_results:
        return Verdict(False, seen)
    return None


def counted(results: Results) -> str:
    """Return the counts in words."""
    return f"{results.wins} subjects won, {results.losses} lost, {results.ties} tied"


def _power(evidence: float) -> str:
    return f"{exp(min(evidence, _LARGEST)):.3g}"
