"""Train once enough new samples were decided."""

from dataclasses import dataclass
from typing import ClassVar

from importance.errors import InvalidInput
from trainer.triggers.base import LearningState


@dataclass(frozen=True, slots=True)
class Amount:
    """Fires ``after_samples`` samples, the first run included."""

    name: ClassVar[str] = "amount"
    after_samples: int

    def __post_init__(self) -> None:
        """Raise InvalidInput for an amount that is always reached."""
        if self.after_samples < 1:
            raise InvalidInput(
                f"the trigger {self.name} fires after {self.after_samples} samples; it must be at least 1: "
                "set WEIR_TRAIN_AFTER_SAMPLES"
            )

    def fires(self, state: LearningState, now: float) -> bool:  # noqa: ARG002 - a trigger that does not read the clock
        """Return whether enough samples are new.

        >>> Amount(100).fires(LearningState(150, 50, 10, None, None, asked=False, frozen=False), now=0.0)
        True
        """
        return state.fresh >= self.after_samples
