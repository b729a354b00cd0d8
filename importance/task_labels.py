"""The labels of a sample for each task, some of which may be missing.

Pure functions of a sample's actions. Independent of networks.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from importance.sample import Action, Outcome, Sample, label_table, outcome
from importance.tasks import TASK_ACTIONS

MISSING: Final = -1
"""The label of a task where it is not known."""

OBSERVED: Final = "observed"
"""The attribute of an impression that names the tasks whose actions are recorded for it; absent: all."""


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
