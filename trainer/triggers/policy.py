"""How the triggers are combined: any is enough, under conditions that hold for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from importance.errors import InvalidInput
from trainer.triggers.amount import Amount
from trainer.triggers.base import Due, LearningState, Trigger
from trainer.triggers.cost import Cost
from trainer.triggers.drift import Drift
from trainer.triggers.mass import Mass
from trainer.triggers.operator import Operator
from trainer.triggers.performance import Performance
from trainer.triggers.time import Time


class HeldBack(StrEnum):
    """What keeps every trigger from starting a run."""

    FROZEN = "frozen"
    SHADOW = "shadow"  # its promotion would supersede what a run learns from the active version
    FEW_SAMPLES = "few samples"
    COOLDOWN = "cool-down"


@dataclass(frozen=True, slots=True)
class TriggerPolicy:
    """The triggers' parameters, a common cool-down, and ``min_samples`` in the buffer that may train.

    ``on_drift``: an alarm of drift is a trigger too. ``after_mass``, ``drop`` and ``cost_rate`` are those of `Mass`,
    `Performance` and `Cost`; None leaves the trigger out.
    """

    after_samples: int
    after_seconds: float
    cooldown_seconds: float
    min_samples: int
    on_drift: bool = False
    after_mass: float | None = None
    drop: float | None = None
    cost_rate: float | None = None

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
        chosen: list[Trigger] = [Operator()]
        if self.on_drift:
            chosen.append(Drift())
        if self.drop is not None:
            chosen.append(Performance(self.drop))
        chosen.append(Amount(self.after_samples))
        if self.after_mass is not None:
            chosen.append(Mass(self.after_mass))
        if self.cost_rate is not None:
            chosen.append(Cost(self.cost_rate))
        return (*chosen, Time(self.after_seconds))

    def cooldown_left(self, state: LearningState, now: float) -> float:
        """Return seconds of the cool-down that are left."""
        ended = state.seconds_since_end(now)
        return 0.0 if ended is None else max(0.0, self.cooldown_seconds - ended)

    def record(self) -> dict[str, object]:
        """Return the policy as it is recorded with a decision."""
        return {
            "after_samples": self.after_samples,
            "after_seconds": self.after_seconds,
            "cooldown_seconds": self.cooldown_seconds,
            "least_samples": self.min_samples,  # the name in the records of earlier runs
            "on_drift": self.on_drift,
            "after_mass": self.after_mass,
            "drop": self.drop,
            "cost_rate": self.cost_rate,
        }


def held_back(state: LearningState, policy: TriggerPolicy, now: float) -> HeldBack | None:
    """Return what keeps every trigger from starting a run; ``now`` as for `training_due`."""
    if state.frozen:
        return HeldBack.FROZEN
    if state.in_shadow:
        return HeldBack.SHADOW
    if state.trainable < policy.min_samples:
        return HeldBack.FEW_SAMPLES
    return HeldBack.COOLDOWN if policy.cooldown_left(state, now) > 0 else None


def training_due(state: LearningState, policy: TriggerPolicy, now: float) -> Due | None:
    """Return the trigger that fires, if any. ``now`` in seconds, of the clock of the state's times.

    >>> policy = TriggerPolicy(after_samples=100, after_seconds=60, cooldown_seconds=5, min_samples=10)
    >>> state = LearningState(150, 20, 50, last_started=0.0, last_ended=2.0, asked=False, frozen=False)
    >>> training_due(state, policy, now=6.0), training_due(state, policy, now=7.0).trigger
    (None, 'amount')
    """
    if held_back(state, policy, now) is not None:
        return None
    fired = next((trigger for trigger in policy.triggers if trigger.fires(state, now)), None)
    if fired is None:
        return None
    inputs: dict[str, object] = {
        "samples": state.samples,
        "mass": state.mass,
        "fresh": state.fresh,
        "waited_seconds": state.seconds_since_start(now),
        "alarmed": state.alarmed,
        "policy": policy.record(),
    }
    return Due(fired.name, inputs)
