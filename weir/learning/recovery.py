"""How a run ends whose trainer died, unless it is continued. Pure."""

from types import MappingProxyType
from typing import Final

from storage.registry import Active, State, Version
from storage.runs import Run, RunResult
from weir.learning.records import Outcome, RunInputs

MAX_RESUMED: Final = 3
"""A run that ends its trainer each time must not do so for ever."""

_DECIDED: Final = MappingProxyType(
    {
        State.ACTIVE: RunResult.PROMOTED,
        State.RETIRED: RunResult.PROMOTED,
        State.ROLLED_BACK: RunResult.PROMOTED,
        State.REJECTED: RunResult.REJECTED,
        State.SHADOW: RunResult.SHADOW,
    }
)


def ending(run: Run, active: Active | None, candidate: Version | None) -> Outcome | None:
    """Return how a run ends; None when it is to be resumed. ``candidate``: the version that it had registered.

    A candidate that nothing was decided about is made again: a trainer died between its registration and its promotion.
    """
    if candidate is not None and candidate.state in _DECIDED:
        reason = str(candidate.metrics.get("gate", "its trainer ended before it recorded why"))
        return Outcome(_DECIDED[candidate.state], reason, candidate.version)
    if run.checkpoint is None:
        return Outcome(RunResult.ABANDONED, "its trainer ended before it did, and before its first checkpoint")
    if run.resumed >= MAX_RESUMED:
        return Outcome(RunResult.FAILED, f"its trainer ended before it did, and so did {run.resumed} that resumed it")
    if active is None or active.frozen:
        return Outcome(RunResult.SUPERSEDED, "training was frozen after its trainer ended")
    if active.sequence != RunInputs.of(run).sequence:
        return Outcome(RunResult.SUPERSEDED, f"{active.version} was activated before the run could be resumed")
    return None
