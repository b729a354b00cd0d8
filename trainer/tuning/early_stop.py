"""When a fine-tune ends before its last step, by its losses on validation samples. Pure.

Prechelt 1998, Early Stopping – But When?, third criterion: so many evaluations in a row without a new lowest loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from importance.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class EarlyStop:
    """Evaluate every ``every_steps`` steps and after the last one, 0: never; stop after ``patience`` in vain."""

    every_steps: int = 0
    patience: int = 3

    def __post_init__(self) -> None:
        """Refuse what never evaluates, or stops before it does."""
        if self.every_steps < 0:
            raise InvalidInput(f"steps between two evaluations is {self.every_steps}; it must be at least 0")
        if self.patience < 1:
            raise InvalidInput(f"patience is {self.patience} evaluations; it must be at least 1")

    def due(self, steps: int, of: int) -> bool:
        """Return whether the weights after so many ``steps`` ``of`` a fine-tune are evaluated.

        >>> [steps for steps in range(1, 11) if EarlyStop(4).due(steps, 10)]
        [4, 8, 10]
        """
        return self.every_steps > 0 and (steps % self.every_steps == 0 or steps == of)

    def exhausted(self, losses: Sequence[float]) -> bool:
        """Return whether the last ``patience`` of the losses so far, at least, are not below one before them.

        >>> [EarlyStop(4, patience=2).exhausted(losses) for losses in ([3.0, 2.0, 2.0], [3.0, 2.0, 2.0, 2.5])]
        [False, True]
        """
        lowest = best(losses)
        return len(losses) - (0 if lowest is None else lowest + 1) >= self.patience


@dataclass(frozen=True, slots=True)
class Evaluations:
    """The validation losses of a fine-tune, in nats, which ended after ``steps`` ``of`` those it was to take."""

    early_stop: EarlyStop
    losses: tuple[float, ...]
    steps: int
    of: int

    @property
    def lowest(self) -> float | None:
        """Return the lowest loss, that of the weights that were kept; None without a finite one."""
        found = best(self.losses)
        return None if found is None else self.losses[found]

    @property
    def kept(self) -> int:
        """Return the step whose weights were kept: of the lowest loss, or the last one.

        >>> Evaluations(EarlyStop(4), (0.5, 0.4, 0.6), 10, 10).kept
        8
        """
        found = best(self.losses)
        return self.steps if found is None else min((found + 1) * self.early_stop.every_steps, self.steps)

    @property
    def reason(self) -> str:
        """Return at which step the fine-tune stopped and why, and whose weights it kept.

        >>> Evaluations(EarlyStop(4, patience=2), (0.5, 0.4, 0.6, 0.5), 16, 64).reason
        'stopped at step 16 of 64: 2 validation losses in a row not below 0.4000 of step 8, whose weights were kept'
        """
        if self.lowest is None:
            return f"stopped at step {self.steps} of {self.of}, whose weights were kept: no validation loss was finite"
        if self.early_stop.exhausted(self.losses):
            return (
                f"stopped at step {self.steps} of {self.of}: {self.early_stop.patience} validation losses in a row "
                f"not below {self.lowest:.4f} of step {self.kept}, whose weights were kept"
            )
        return (
            f"took all {self.of} steps; kept the weights of step {self.kept}, lowest validation loss {self.lowest:.4f}"
        )


def best(losses: Sequence[float]) -> int | None:
    """Return the index of the lowest loss, the first of equal ones; None where none is finite.

    >>> best([0.5, float("nan"), 0.4, 0.4])
    2
    """
    finite = [index for index, loss in enumerate(losses) if abs(loss) < float("inf")]
    return min(finite, key=lambda index: losses[index], default=None)
