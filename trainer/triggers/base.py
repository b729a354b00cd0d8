"""What a trigger sees, and what it answers."""

from dataclasses import dataclass
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class RecentQuality:
    """How well the active version predicted the latest samples: their ``auc``, its standard ``error``, and ``samples``.

    ``reference`` is its AUC on the holdout when it was evaluated.
    """

    auc: float
    error: float
    samples: int
    reference: float


@dataclass(frozen=True, slots=True)
class LearningState:
    """What triggers decide by. Times in seconds since the epoch; ``last_started`` is None before the first run.

    ``samples``: decided ever; ``samples_at_last``: when the last run started; ``trainable``: in the buffer and allowed
    to train, counted up to the number that is needed; ``asked``: an operator's request waits; ``alarmed``: when drift
    was last found, None before the first alarm; ``last_learned``: when the last run started that was carried through.

    ``mass``: of importance decided ever, in samples of average importance (`importance.scores.Scores.mass`);
    ``mass_at_last``: when the last run started; ``waited``: ∫ new mass dt since then, in average samples times seconds;
    ``run_seconds``: how long a run is expected to take, None before the first; ``recent``: None while it is not known;
    ``in_shadow``: a candidate is compared with the active version on live traffic.
    """

    samples: int
    samples_at_last: int
    trainable: int
    last_started: float | None
    last_ended: float | None
    asked: bool
    frozen: bool
    alarmed: float | None = None
    last_learned: float | None = None
    mass: float = 0.0
    mass_at_last: float = 0.0
    waited: float = 0.0
    run_seconds: float | None = None
    recent: RecentQuality | None = None
    in_shadow: bool = False

    @property
    def fresh_mass(self) -> float:
        """Return the importance mass decided since the last run started."""
        return self.mass - self.mass_at_last

    @property
    def fresh(self) -> int:
        """Return samples decided since the last run started."""
        return self.samples - self.samples_at_last

    def seconds_since_start(self, now: float) -> float | None:
        """Return seconds since the last run started; None before the first."""
        return None if self.last_started is None else now - self.last_started

    def seconds_since_end(self, now: float) -> float | None:
        """Return seconds since the last run ended; None before the first."""
        return None if self.last_ended is None else now - self.last_ended


@dataclass(frozen=True, slots=True)
class Due:
    """A training is due: the name of the trigger that fired, and the inputs of the decision, for the record."""

    trigger: str
    inputs: dict[str, object]


class Trigger(Protocol):
    """One reason to train. A frozen value, valid once constructed.

    Freeze, cool-down and the minimum of samples hold for all triggers and are checked by `policy.training_due`.
    """

    name: ClassVar[str]
    """As recorded with the run, in ``weir status`` and in the API."""

    def fires(self, state: LearningState, now: float) -> bool:
        """Return whether to train; ``now`` in seconds, of the clock of the state's times.

        A pure function. A trigger that fires keeps firing until a run starts.
        """
        ...
