"""Train when an operator requests it."""

from dataclasses import dataclass
from typing import ClassVar

from trainer.triggers.base import LearningState


@dataclass(frozen=True, slots=True)
class Operator:
    """Fires while a request of ``weir models train`` or of the API waits."""

    name: ClassVar[str] = "operator"

    def fires(self, state: LearningState, now: float) -> bool:  # noqa: ARG002 - a trigger that does not read the clock
        """Return whether a request waits."""
        return state.asked
