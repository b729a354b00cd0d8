"""What the next run waits for, for ``weir status`` and the API."""

from dataclasses import dataclass

from trainer.triggers.base import LearningState
from trainer.triggers.policy import TriggerPolicy
from trainer.triggers.time import Time


@dataclass(frozen=True, slots=True)
class Waits:
    """What lies between a trainer's last check and its next run. The names are fields of the API.

    ``in_shadow``: a candidate is, so no run starts. ``fresh`` of ``after_samples`` new samples have come, ``trainable``
    of ``least_samples`` are in the buffer, and ``cooldown_seconds`` are left of the pause after a run;
    ``after_seconds`` until the time trigger, None before the first run or while nothing is new.
    """

    frozen: bool
    in_shadow: bool
    asked: bool
    fresh: int
    after_samples: int
    trainable: int
    least_samples: int
    cooldown_seconds: float
    after_seconds: float | None


def waits(state: LearningState, policy: TriggerPolicy, now: float) -> Waits:
    """Return what the next run waits for; ``now`` as for `training_due`.

    >>> policy = TriggerPolicy(after_samples=100, after_seconds=60, cooldown_seconds=5, min_samples=10)
    >>> state = LearningState(50, 20, 50, last_started=0.0, last_ended=2.0, asked=False, frozen=False)
    >>> found = waits(state, policy, now=6.0)
    >>> found.fresh, found.cooldown_seconds, found.after_seconds
    (30, 1.0, 54.0)
    """
    return Waits(
        frozen=state.frozen,
        in_shadow=state.in_shadow,
        asked=state.asked,
        fresh=state.fresh,
        after_samples=policy.after_samples,
        trainable=state.trainable,
        least_samples=policy.min_samples,
        cooldown_seconds=policy.cooldown_left(state, now),
        after_seconds=Time(policy.after_seconds).seconds_left(state, now),
    )
