"""How a run ends whose trainer died, unless it is continued. Pure."""

from types import MappingProxyType
from typing import Final

from storage.registry import Active, State, Version
from storage.runs import Run, RunResult
from weir.learning.records import Outcome, RunInputs

MAX_RESUMED: Final = 3
"""A run that ends its trainer each time must not do so for ever."""
MAX_REFUSED: Final = 10
"""A run that was resumed so often, for any reason, fails where its files are refused once more, instead of waiting."""
STOPS: Final = "stops"
"""The field of a checkpoint that counts the resumptions which do not count: their trainers left the run, and lived.

It grows by a stop from outside, or by a refusal of files, of which there are `MAX_REFUSED` at most.
"""

DECIDED: Final = MappingProxyType(
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
    if candidate is not None and candidate.state in DECIDED:
        reason = str(candidate.metrics.get("gate", "its trainer ended before it recorded why"))
        return Outcome(DECIDED[candidate.state], reason, candidate.version)
    if run.checkpoint is None:
        return Outcome(RunResult.ABANDONED, "its trainer ended before it did, and before its first checkpoint")
    died = run.resumed - int(run.checkpoint.get(STOPS, 0))
    if died >= MAX_RESUMED:
        return Outcome(RunResult.FAILED, f"its trainer ended before it did, and so did {died} that resumed it")
    if active is None or active.frozen or active.sequence != RunInputs.of(run).sequence:
        return Outcome(RunResult.ABANDONED, "a freeze, rollback or promotion came before it could be resumed")
    return None
