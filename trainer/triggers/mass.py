"""Train once enough importance was decided: early where samples teach much, late where they teach little."""

from dataclasses import dataclass
from typing import ClassVar

from importance.errors import InvalidInput
from trainer.triggers.base import LearningState


@dataclass(frozen=True, slots=True)
class Mass:
    """Fires after ``after_mass`` of importance: Σ s / mean(s) over the new samples.

    The mean was measured when the version that scored them was evaluated, so a stream that is like it then has mass 1
    a sample, and one that surprises the model has more.
    """

    name: ClassVar[str] = "mass"
    after_mass: float

    def __post_init__(self) -> None:
        """Raise InvalidInput for a mass that is always reached."""
        if not self.after_mass > 0:  # refuses NaN as well
            raise InvalidInput(
                f"the trigger {self.name} fires after an importance of {self.after_mass}; it must be above 0: "
                "set WEIR_TRAIN_AFTER_MASS"
            )

    def fires(self, state: LearningState, now: float) -> bool:  # noqa: ARG002 - a trigger that does not read the clock
        """Return whether enough importance is new.

        >>> state = LearningState(90, 50, 10, None, None, asked=False, frozen=False, mass=150.0, mass_at_last=50.0)
        >>> Mass(100).fires(state, now=0.0), Mass(101).fires(state, now=0.0)
        (True, False)
        """
        return state.fresh > 0 and state.fresh_mass >= self.after_mass
