"""The comparisons on live traffic, as the status, the models and the metrics show them."""

from dataclasses import dataclass
from datetime import datetime
from math import exp

from storage.comparisons import Comparison, Comparisons, LiveTest

_LARGEST = 100.0  # ln E from which on more is not shown


@dataclass(frozen=True, slots=True)
class LiveComparison:
    """``version`` is compared with ``against``, the active one: subjects that it won, lost and tied.

    ``e_better`` and ``e_worse`` are the evidence that it is the better or the worse of the two; 20 decides.
    """

    version: str
    against: str
    started: datetime
    wins: int
    losses: int
    ties: int
    e_better: float
    e_worse: float

    @property
    def line(self) -> str:
        """Return it in one line."""
        results = f"{self.wins} subjects won, {self.losses} lost, {self.ties} tied"
        evidence = f"E that it is better {self.e_better:.3g}, worse {self.e_worse:.3g}"
        return f"{self.version} against {self.against}: {results}; {evidence}"


@dataclass(frozen=True, slots=True)
class ProposedRollback:
    """The mirror test found that ``to``, the version before, is better than ``version``, which is active."""

    version: str
    to: str
    reason: str
    time: datetime


@dataclass(frozen=True, slots=True)
class LiveTests:
    """The candidate in shadow, the mirror test that runs, and the rollback that it proposed; each may be None."""

    shadow: LiveComparison | None
    mirror: LiveComparison | None
    rollback_proposed: ProposedRollback | None


def live_tests(comparisons: Comparisons, active: str | None) -> LiveTests:
    """Read what is compared now with the active version."""
    running = {each.test: _live(each) for each in comparisons.running()}
    return LiveTests(running.get(LiveTest.SHADOW), running.get(LiveTest.MIRROR), _proposed(comparisons, active))


def _live(found: Comparison) -> LiveComparison:
    results = found.results
    return LiveComparison(
        version=found.version,
        against=found.against,
        started=found.started,
        wins=results.wins,
        losses=results.losses,
        ties=results.ties,
        e_better=exp(min(results.log_superiority, _LARGEST)),
        e_worse=exp(min(results.log_inferiority, _LARGEST)),
    )


def _proposed(comparisons: Comparisons, active: str | None) -> ProposedRollback | None:
    found = None if active is None else comparisons.proposal(active)
    if found is None or found.ended is None:
        return None
    return ProposedRollback(found.against, found.version, found.reason or "", found.ended)
