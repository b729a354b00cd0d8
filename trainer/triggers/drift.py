"""Train after an alarm of drift."""

from dataclasses import dataclass
from typing import ClassVar

from trainer.triggers.base import LearningState


@dataclass(frozen=True, slots=True)
class Drift:
    """Fires when an alarm came after the start of the last run, if any sample is new; never before the first run."""

    name: ClassVar[str] = "drift"

    def fires(self, state: LearningState, now: float) -> bool:  # noqa: ARG002 - a trigger that does not read the clock
        """Whether an alarm is newer than the last run.

        >>> Drift().fires(LearningState(51, 50, 10, 0.0, 5.0, asked=False, frozen=False, alarmed=3.0), now=60.0)
        True
        """
        if state.alarmed is None or state.last_started is None:
            return False
        return state.fresh > 0 and state.alarmed > state.last_started
