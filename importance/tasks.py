"""The tasks that one model learns: the label it is scored by, and further ones with a weight each."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

from importance.errors import InvalidInput
from importance.sample import Action, Outcome

TASK_ACTIONS: Final = {
    Outcome.CLICK: Action.CLICK,
    Outcome.ADD_TO_CART: Action.ADD_TO_CART,
    Outcome.PURCHASE: Action.PURCHASE,
}
"""What may be a further task, weakest first, and its action."""


@dataclass(frozen=True, slots=True)
class Tasks:
    """The ``scored`` label, which is 1 from that outcome on, and ``further`` tasks with their weights in the loss.

    Raises InvalidInput where a further task is the scored one, is not one of `TASK_ACTIONS` or is named twice, and
    where its weight is not a number above 0.
    """

    scored: Outcome = Outcome.CLICK
    further: tuple[tuple[Outcome, float], ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be learned next to the scored label."""
        tasks = [task for task, _ in self.further]
        for task, weight in self.further:
            if task is self.scored or task not in TASK_ACTIONS:
                raise _not_a_task(task, self.scored)
            if tasks.count(task) > 1:
                raise InvalidInput(f"{task} is named twice")
            if not (weight > 0 and isfinite(weight)):
                raise InvalidInput(f"the weight of {task} is {weight:g}; it must be a number above 0")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all labels, the scored one first; empty where it is the only one.

        >>> Tasks(further=((Outcome.PURCHASE, 0.5),)).names
        ('click', 'purchase')
        """
        return (str(self.scored), *(str(task) for task, _ in self.further)) if self.further else ()

    @property
    def weights(self) -> tuple[float, ...]:
        """Return the weights of the further tasks; that of the scored one is 1."""
        return tuple(weight for _, weight in self.further)


def parse(text: str, scored: Outcome) -> Tasks:
    """Parse further tasks from ``task, task=weight``; a weight is 1 unless given. Raises InvalidInput.

    >>> parse("add_to_cart, purchase=0.5", Outcome.CLICK).further
    ((<Outcome.ADD_TO_CART: 'add_to_cart'>, 1.0), (<Outcome.PURCHASE: 'purchase'>, 0.5))
    """
    further = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, given, number = (piece.strip() for piece in part.partition("="))
        if name not in TASK_ACTIONS:
            raise _not_a_task(name, scored)
        further.append((Outcome(name), _weight(name, number) if given else 1.0))
    return Tasks(scored, tuple(further))


def _weight(name: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise InvalidInput(f"the weight of {name} is {number!r}; it must be a number above 0") from None


def _not_a_task(name: str, scored: Outcome) -> InvalidInput:
    allowed = ", ".join(task for task in TASK_ACTIONS if task is not scored)
    return InvalidInput(f"{str(name)!r} is not a further task: choose of {allowed}")
