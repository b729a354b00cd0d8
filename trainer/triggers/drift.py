"""Train after an alarm of drift."""

from dataclasses import dataclass
from typing import ClassVar

from trainer.triggers.base import LearningState


@dataclass(frozen=True, slots=True)
class Drift:
    """Fires when an alarm came after the start of the last run that was carried through, if any sample is new.

    A run that failed or was killed has not answered the alarm. Never before the first run.
    """

    name: ClassVar[str] = "drift"

    def fires(self, state: LearningState, now: float) -> bool:  # noqa: ARG002 - a trigger that does not read the clock
        """Whether an alarm is newer than the last run.

        >>> state = LearningState(51, 50, 10, 0.0, 5.0, asked=False, frozen=False, alarmed=3.0, last_learned=0.0)
        >>> Drift().fires(state, now=60.0)
        True
        """
        if state.alarmed is None or state.last_learned is None:
            return False
        return state.fresh > 0 and state.alarmed > state.last_learned
