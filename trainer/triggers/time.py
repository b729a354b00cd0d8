"""Train on a few new samples once enough time has passed."""

from dataclasses import dataclass
from typing import ClassVar

from importance.errors import InvalidInput
from trainer.triggers.base import LearningState


@dataclass(frozen=True, slots=True)
class Time:
    """Fires ``after_seconds`` after the start of the last run, if any sample is new; never before the first run."""

    name: ClassVar[str] = "time"
    after_seconds: float

    def __post_init__(self) -> None:
        """Raise InvalidInput for a time that has always passed."""
        if not self.after_seconds > 0:  # refuses NaN as well
            raise InvalidInput(
                f"the trigger {self.name} fires after {self.after_seconds} s; it must be above 0: "
                "set WEIR_TRAIN_AFTER_SECONDS"
            )

    def fires(self, state: LearningState, now: float) -> bool:
        """Return whether the time is over.

        >>> Time(60).fires(LearningState(51, 50, 10, 0.0, 5.0, asked=False, frozen=False), now=60.0)
        True
        """
        return self.seconds_left(state, now) == 0

    def seconds_left(self, state: LearningState, now: float) -> float | None:
        """Return seconds until it fires, 0 from then on; None before the first run and while no sample is new."""
        passed = state.seconds_since_start(now)
        return None if passed is None or state.fresh <= 0 else max(0.0, self.after_seconds - passed)
