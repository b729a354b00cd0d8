"""The labels that one model learns: the one it is scored by, and further ones, which may be missing.

Pure functions of a sample's actions. Independent of networks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput
from importance.sample import Action, Outcome, Sample, label_table, outcome

MISSING: Final = -1
"""The label of a task where it is not known."""

OBSERVED: Final = "observed"
"""The attribute of an impression that names the tasks whose actions are recorded for it; absent: all."""

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


def task_labels(samples: Sequence[Sample], tasks: Sequence[str]) -> NDArray[np.int8]:
    """Return the labels [n, k] of further tasks: 1, 0, or `MISSING`.

    A task's label is 1 where its action was recorded (a return cancels a purchase), and missing where it was not but a
    stronger one was: the weaker one happened unseen, or never. A return is stronger than a purchase here, since what is
    returned was bought. A label is also missing where the impression's attribute ``observed`` does not name its task.

    >>> bought = Sample("s", "u", "search", "", "i", "", 0, 0, 0, actions=int(Action.PURCHASE))
    >>> task_labels([bought], ["click", "purchase"]).tolist()
    [[-1, 1]]
    """
    tables = [_table(Outcome(task)) for task in tasks]
    labels = np.array([[table[sample.actions] for table in tables] for sample in samples], np.int8)
    labels = labels.reshape(len(samples), len(tasks))
    for row, sample in enumerate(samples):
        if (observed := _observed(sample)) is not None:
            labels[row, [task not in observed for task in tasks]] = MISSING
    return labels


def unknown_observed(samples: Iterable[Sample]) -> tuple[tuple[str, ...], int]:
    """Return the names in ``observed`` that are no outcomes, sorted, and how many samples have one of them.

    >>> unknown_observed([Sample("s", "u", "ad", "", "i", "", 0, 0, 0, attributes={"observed": "click,carts"})])
    (('carts',), 1)
    """
    known = {"", *(str(one) for one in Outcome)}
    found = [names for sample in samples if (names := (_observed(sample) or set()) - known)]
    return tuple(sorted(set().union(*found))), len(found)


def _observed(sample: Sample) -> set[str] | None:
    named = sample.attributes.get(OBSERVED)
    return {name.strip() for name in named.split(",")} if isinstance(named, str) else None


@cache
def _table(task: Outcome) -> tuple[int, ...]:
    """Return the label of every set of actions, at the set's number."""
    return tuple(_label(task, actions) for actions in range(len(label_table())))


def _label(task: Outcome, actions: int) -> int:
    if task is Outcome.PURCHASE:
        return int(outcome(actions) is Outcome.PURCHASE)
    if actions & TASK_ACTIONS[task]:
        return 1
    stronger = [action for action in (*TASK_ACTIONS.values(), Action.RETURN) if action > TASK_ACTIONS[task]]
    return MISSING if any(actions & action for action in stronger) else 0


def _weight(name: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise InvalidInput(f"the weight of {name} is {number!r}; it must be a number above 0") from None


def _not_a_task(name: str, scored: Outcome) -> InvalidInput:
    allowed = ", ".join(task for task in TASK_ACTIONS if task is not scored)
    return InvalidInput(f"{str(name)!r} is not a further task: choose of {allowed}")
