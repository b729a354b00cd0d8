"""What learns in a trial: a model over the rows of one set of examples. Two exist, `head` and `transformer`."""

from typing import ClassVar, Protocol

from torch import Tensor

from importance.arrays import Floats, Integers
from importance.estimators import Estimator, Forward, memory
from importance.estimators.state import State

BATCH = 64
LEARNING_RATE = 1e-3


class Learner(Protocol):
    """Rows are row numbers of its examples; labels and weights belong to the rows given with them."""

    def predict(self, rows: Integers) -> Floats:
        """P(label = 1) [n]."""

    def update_state(self, rows: Integers, labels: Integers, needs: frozenset[str]) -> None:
        """Make what estimators with a memory read, of these rows of the holdout, with the model as it is."""

    def score(self, rows: Integers, labels: Integers, estimators: tuple[Estimator, ...]) -> dict[str, Floats]:
        """The scores [n] of each estimator, from one shared forward pass."""

    def learn(self, rows: Integers, labels: Integers, weights: Floats, learning_rate: float) -> int:
        """Steps over the rows in order, `BATCH` at a time; how many."""

    def clone(self) -> "Learner":
        """Another one in the same state, that learns on its own."""


class Learners(Protocol):
    """Makes untrained learners over one set of examples."""

    provides: ClassVar[frozenset[str]]
    """The needs of estimators that the learners' passes meet."""

    def fresh(self, seed: int) -> Learner:
        """The same for the same seed."""


STATE_NEEDS = frozenset({"holdout", "validation", "centres"})
"""The needs of estimators that `Learner.update_state` meets."""


def snapshot(seen: Forward, last_layer: Tensor, needs: frozenset[str]) -> State:
    """The memory that these needs ask for, of one forward pass over the holdout.

    ``last_layer`` [C, H + 1]: the model's own, from which the holdout's is fitted.
    """
    return State(
        holdout=memory.fit_holdout(seen, last_layer) if "holdout" in needs else None,
        validation=memory.validation_gradient(seen) if "validation" in needs else None,
        centres=memory.choose_centres(seen.inputs) if "centres" in needs else None,
    )
