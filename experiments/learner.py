"""The model of a trial, over the rows of one set of examples. There are two, `head` and `transformer`."""

from typing import ClassVar, Protocol

from torch import Tensor

from importance.arrays import Floats, Integers
from importance.estimators import Estimator, Forward, memory
from importance.estimators.state import State

BATCH = 64
LEARNING_RATE = 1e-3


class Learner(Protocol):
    """A model under training. Rows are row numbers of its examples; labels and weights belong to these rows."""

    def predict(self, rows: Integers) -> Floats:
        """Return P(label = 1) [n]."""

    def update_state(self, rows: Integers, labels: Integers, needs: frozenset[str]) -> None:
        """Compute the state that estimators need from these rows of the holdout, with the current model."""

    def score(self, rows: Integers, labels: Integers, estimators: tuple[Estimator, ...]) -> dict[str, Floats]:
        """Return the scores [n] of each estimator, from one shared forward pass."""

    def learn(self, rows: Integers, labels: Integers, weights: Floats, learning_rate: float) -> int:
        """Train on the rows in order, `BATCH` a step; return the number of steps."""

    def clone(self) -> "Learner":
        """Return an independent copy in the same state."""


class Learners(Protocol):
    """Creates untrained learners over one set of examples."""

    provides: ClassVar[frozenset[str]]
    """The needs of estimators that the learners' passes meet."""

    def fresh(self, seed: int) -> Learner:
        """Create a learner that depends on the seed only."""


STATE_NEEDS = frozenset({"holdout", "validation", "centres"})
"""The needs of estimators that `Learner.update_state` meets."""


def snapshot(seen: Forward, last_layer: Tensor, needs: frozenset[str]) -> State:
    """Return the estimator state for these needs, from one forward pass over the holdout.

    ``last_layer`` [C, H + 1]: the model's own, from which the holdout's is fitted.
    """
    return State(
        holdout=memory.fit_holdout(seen, last_layer) if "holdout" in needs else None,
        validation=memory.validation_gradient(seen) if "validation" in needs else None,
        centres=memory.choose_centres(seen.inputs) if "centres" in needs else None,
    )
