"""Train when waiting has cost more than training would."""

from dataclasses import dataclass
from typing import ClassVar

from importance.errors import InvalidInput
from trainer.triggers.base import LearningState


@dataclass(frozen=True, slots=True)
class Cost:
    """Fires when the area under the curve of new importance mass exceeds ``rate`` times the expected training time.

    ∫ m(t) dt ≥ rate · T: m in samples of average importance, T the median seconds of the latest runs. ``rate`` is what
    a second of training is worth, in average samples that wait for a second. The area grows with the square of the time
    while a stream is steady, so runs come √rate apart, more often when the stream is fast and more rarely when a run is
    expensive. Never before the first run, whose time nobody knows.
    """

    name: ClassVar[str] = "cost"
    rate: float

    def __post_init__(self) -> None:
        """Raise InvalidInput for a rate at which training is free."""
        if not self.rate > 0:  # refuses NaN as well
            raise InvalidInput(
                f"the trigger {self.name} takes a second of training to be worth {self.rate}; it must be above 0: "
                "set WEIR_TRAIN_COST_RATE"
            )

    def fires(self, state: LearningState, now: float) -> bool:  # noqa: ARG002 - `waited` was computed for now
        """Return whether waiting has cost more.

        >>> state = LearningState(90, 50, 10, 0.0, 5.0, asked=False, frozen=False, waited=600.0, run_seconds=20.0)
        >>> Cost(30).fires(state, now=0.0), Cost(31).fires(state, now=0.0)
        (True, False)
        """
        return state.fresh > 0 and state.run_seconds is not None and state.waited >= self.rate * state.run_seconds
