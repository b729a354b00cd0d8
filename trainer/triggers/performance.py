"""Train when the active version predicts the latest samples worse than the holdout of its evaluation."""

from dataclasses import dataclass
from typing import ClassVar, Final

from importance.errors import InvalidInput
from trainer.triggers.base import LearningState

MIN_SAMPLES: Final = 1_000
"""Of the version's own predictions, and new since the last run: the run may have been answered by no other version."""
_Z: Final = 1.645  # one-sided 5 %


@dataclass(frozen=True, slots=True)
class Performance:
    """Fires when the AUC over the latest samples lies significantly more than ``drop`` below the reference.

    Significant: its upper 95 % bound does. The bound takes samples for independent, which those of one subject are not;
    the trigger is a reason to train, and the gate decides about the result.
    """

    name: ClassVar[str] = "performance"
    drop: float

    def __post_init__(self) -> None:
        """Raise InvalidInput for a drop that no AUC can have."""
        if not 0 <= self.drop < 1:  # refuses NaN as well
            raise InvalidInput(
                f"the trigger {self.name} fires after a drop of {self.drop} in AUC; it must be at least 0 and below 1: "
                "set WEIR_TRAIN_ON_DROP"
            )

    def fires(self, state: LearningState, now: float) -> bool:  # noqa: ARG002 - a trigger that does not read the clock
        """Return whether the version became worse.

        >>> from trainer.triggers.base import RecentQuality
        >>> worse = RecentQuality(auc=0.70, error=0.01, samples=5_000, reference=0.80)
        >>> state = LearningState(9_000, 5_000, 10, 0.0, 5.0, asked=False, frozen=False, recent=worse)
        >>> Performance(0.05).fires(state, now=0.0), Performance(0.09).fires(state, now=0.0)
        (True, False)
        """
        recent = state.recent
        if recent is None or min(recent.samples, state.fresh) < MIN_SAMPLES:
            return False
        return recent.auc + _Z * recent.error < recent.reference - self.drop
