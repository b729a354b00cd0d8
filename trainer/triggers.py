"""When to train: enough new samples, enough time, or an operator's wish. Pure; the clock is an argument."""

from dataclasses import asdict, dataclass

from importance.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TriggerPolicy:
    """Any trigger is enough, under a common cool-down and with ``min_samples`` that may train in the buffer."""

    after_samples: int
    after_seconds: float
    cooldown_seconds: float
    min_samples: int

    def __post_init__(self) -> None:
        """Refuse a trigger that never or always fires."""
        if self.after_samples < 1 or not self.after_seconds > 0 or self.cooldown_seconds < 0:
            raise InvalidInput(f"{self} cannot trigger: after_samples >= 1, after_seconds > 0, cooldown_seconds >= 0")


@dataclass(frozen=True, slots=True)
class LearningState:
    """What a trigger looks at. Times in seconds; ``last_started`` None before the first run.

    ``samples``: decided ever; ``samples_at_last``: when the last run began; ``trainable``: in the buffer, may
    train; none are counted beyond what is needed.
    """

    samples: int
    samples_at_last: int
    trainable: int
    last_started: float | None
    last_ended: float | None
    asked: bool
    frozen: bool


@dataclass(frozen=True, slots=True)
class Due:
    """A training is due: which trigger, and all that it was decided by, for the record."""

    trigger: str
    inputs: dict[str, object]


@dataclass(frozen=True, slots=True)
class Waits:
    """What lies between a trainer's last look and its next run.

    ``fresh`` of ``after_samples`` new samples have come, ``trainable`` of ``least_samples`` are in the buffer, and
    ``cooldown_seconds`` are left of the pause after a run; ``after_seconds`` until the time trigger, None before the
    first run or while nothing is new.
    """

    frozen: bool
    asked: bool
    fresh: int
    after_samples: int
    trainable: int
    least_samples: int
    cooldown_seconds: float
    after_seconds: float | None


def waits(state: LearningState, policy: TriggerPolicy, now: float) -> Waits:
    """What the next run waits for; ``now`` as for `training_due`.

    >>> policy = TriggerPolicy(after_samples=100, after_seconds=60, cooldown_seconds=5, min_samples=10)
    >>> state = LearningState(50, 20, 50, last_started=0.0, last_ended=2.0, asked=False, frozen=False)
    >>> found = waits(state, policy, now=6.0)
    >>> found.fresh, found.cooldown_seconds, found.after_seconds
    (30, 1.0, 54.0)
    """
    fresh = state.samples - state.samples_at_last
    ended = None if state.last_ended is None else now - state.last_ended
    started = None if state.last_started is None or not fresh else now - state.last_started
    return Waits(
        frozen=state.frozen,
        asked=state.asked,
        fresh=fresh,
        after_samples=policy.after_samples,
        trainable=state.trainable,
        least_samples=policy.min_samples,
        cooldown_seconds=0.0 if ended is None else max(0.0, policy.cooldown_seconds - ended),
        after_seconds=None if started is None else max(0.0, policy.after_seconds - started),
    )


def training_due(state: LearningState, policy: TriggerPolicy, now: float) -> Due | None:
    """The trigger that fires, if any. ``now`` in seconds, of the clock that the state's times are of.

    >>> policy = TriggerPolicy(after_samples=100, after_seconds=60, cooldown_seconds=5, min_samples=10)
    >>> state = LearningState(150, 20, 50, last_started=0.0, last_ended=2.0, asked=False, frozen=False)
    >>> training_due(state, policy, now=6.0), training_due(state, policy, now=7.0).trigger
    (None, 'amount')
    """
    if state.frozen or state.trainable < policy.min_samples:
        return None
    if state.last_ended is not None and now - state.last_ended < policy.cooldown_seconds:
        return None
    fresh = state.samples - state.samples_at_last
    waited = None if state.last_started is None else now - state.last_started
    if state.asked:
        trigger = "operator"
    elif fresh >= policy.after_samples:
        trigger = "amount"
    elif fresh > 0 and waited is not None and waited >= policy.after_seconds:
        trigger = "time"
    else:
        return None
    return Due(trigger, {"samples": state.samples, "fresh": fresh, "waited_seconds": waited, "policy": asdict(policy)})
