"""The policies of the race: what makes a sample likely to be kept, and how fast older samples lose weight."""

from dataclasses import dataclass, replace

from importance.errors import InvalidInput
from importance.mixture import parse
from importance.selection import check_floor

UNIFORM = "uniform"
CONFIGURED = 1
"""The number of what is configured in a race; uniform is 0."""
_DAY = 86_400.0
_FACTOR = 4.0


@dataclass(frozen=True, slots=True)
class Policy:
    """How training samples are selected: the estimator, or mixture, of proportional selection with its floor.

    ``half_life_seconds`` of training: a sample's loss weight is d / p with d = exp(−λ·age); None means no decay. Which
    samples are kept depends on estimator and floor alone.
    """

    estimator: str
    floor: float
    half_life_seconds: float | None

    def __post_init__(self) -> None:
        """Refuse what admission or training would refuse."""
        parse(self.estimator)
        check_floor(self.floor)
        if self.half_life_seconds is not None and not self.half_life_seconds > 0:
            raise InvalidInput(f"the half-life of a policy is {self.half_life_seconds} s; it must be above 0, or none")

    @property
    def is_uniform(self) -> bool:
        """Return whether every sample is as likely as any other."""
        return self.estimator == UNIFORM

    def __str__(self) -> str:
        """Return the name of the policy.

        >>> str(Policy("loss", 0.25, 7 * 86_400.0)), str(Policy("uniform", 1.0, None))
        ('loss, floor 0.25, half-life 7 d', 'uniform, no decay')
        """
        floor = "" if self.is_uniform else f", floor {self.floor:g}"
        decay = "no decay" if self.half_life_seconds is None else f"half-life {self.half_life_seconds / _DAY:.3g} d"
        return f"{self.estimator}{floor}, {decay}"


def rivals(configured: Policy) -> tuple[Policy, ...]:
    """Return the policies of a race: uniform first, then the configured one, then what differs from one of the two.

    The estimator, the floor and the half-life are varied one at a time.

    >>> [str(policy) for policy in rivals(Policy("loss", 0.25, 8 * 86_400.0))][:3]
    ['uniform, half-life 8 d', 'loss, floor 0.25, half-life 8 d', 'loss, floor 0.5, half-life 8 d']
    """
    uniform = Policy(UNIFORM, 1.0, configured.half_life_seconds)
    if configured.half_life_seconds is None:
        other_half_lives = (7 * _DAY, 28 * _DAY)
    else:
        other_half_lives = (configured.half_life_seconds / _FACTOR, configured.half_life_seconds * _FACTOR)
    others = [replace(configured, floor=0.5 if configured.floor < 0.5 else 0.25)]
    others += [replace(configured, estimator=name) for name in ("last_layer_norm", "loss", "entropy")]
    others += [replace(base, half_life_seconds=each) for base in (configured, uniform) for each in other_half_lives]
    return tuple(dict.fromkeys((uniform, configured, *others)))
