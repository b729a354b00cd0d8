"""How the triggers are combined: any is enough, under conditions that hold for all."""

from collections.abc import Sequence
from dataclasses import dataclass

from importance.errors import InvalidInput
from trainer.triggers.amount import Amount
from trainer.triggers.base import Due, LearningState, Trigger
from trainer.triggers.drift import Drift
from trainer.triggers.operator import Operator
from trainer.triggers.time import Time


@dataclass(frozen=True, slots=True)
class TriggerPolicy:
    """The triggers' parameters, a common cool-down, and ``min_samples`` in the buffer that may train.

    ``on_drift``: an alarm of drift is a trigger too.
    """

    after_samples: int
    after_seconds: float
    cooldown_seconds: float
    min_samples: int
    on_drift: bool = False

    def __post_init__(self) -> None:
        """Raise InvalidInput for a trigger that always fires, or a negative cool-down."""
        _ = self.triggers
        if not self.cooldown_seconds >= 0:  # refuses NaN as well
            raise InvalidInput(
                f"the cool-down between runs is {self.cooldown_seconds} s; it must be at least 0: "
                "set WEIR_TRAIN_COOLDOWN_SECONDS"
            )

    @property
    def triggers(self) -> Sequence[Trigger]:
        """Return the triggers in the order of their tests: the first that fires is recorded with the run."""
        drift = (Drift(),) if self.on_drift else ()
        return (Operator(), *drift, Amount(self.after_samples), Time(self.after_seconds))

    def cooldown_left(self, state: LearningState, now: float) -> float:
        """Return seconds of the cool-down that are left."""
        ended = state.seconds_since_end(now)
        return 0.0 if ended is None else max(0.0, self.cooldown_seconds - ended)


def training_due(state: LearningState, policy: TriggerPolicy, now: float) -> Due | None:
    """Return the trigger that fires, if any. ``now`` in seconds, of the clock of the state's times.

    >>> policy = TriggerPolicy(after_samples=100, after_seconds=60, cooldown_seconds=5, min_samples=10)
    >>> state = LearningState(150, 20, 50, last_started=0.0, last_ended=2.0, asked=False, frozen=False)
    >>> training_due(state, policy, now=6.0), training_due(state, policy, now=7.0).trigger
    (None, 'amount')
    """
    if state.frozen or state.trainable < policy.min_samples or policy.cooldown_left(state, now) > 0:
        return None
    fired = next((trigger for trigger in policy.triggers if trigger.fires(state, now)), None)
    if fired is None:
        return None
    inputs: dict[str, object] = {
        "samples": state.samples,
        "fresh": state.fresh,
        "waited_seconds": state.seconds_since_start(now),
        "alarmed": state.alarmed,
        "policy": {
            "after_samples": policy.after_samples,
            "after_seconds": policy.after_seconds,
            "cooldown_seconds": policy.cooldown_seconds,
            "least_samples": policy.min_samples,  # the name in the records of earlier runs
            "on_drift": policy.on_drift,
        },
    }
    return Due(fired.name, inputs)
