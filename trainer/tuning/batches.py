"""Which rows each step learns from: a shuffle of the fresh and one of the older rows, mixed in a fixed ratio."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainer.tokens import Encoded
from trainer.tuning.optimisation import FineTuning
from trainer.tuning.validation import Validation

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class TrainingBatches:
    """Encoded samples with ``labels`` and loss ``weights`` [n], and ``batches``: the row numbers of each step.

    ``origin`` [n]: the numbers of these samples among those that were given; None where all of them are here, in order.
    ``stored`` [n] are the logits that replayed samples were stored with; NaN where there is none, as for fresh ones.
    ``validation`` are other samples, which an early stop is decided by.
    ``further`` [n, k − 1] are the labels of further tasks, `importance.task_labels.MISSING` where not known.
    """

    encoded: Encoded
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    batches: Sequence[Indices]
    origin: Indices | None = None
    stored: NDArray[np.float64] | None = None
    validation: Validation | None = None
    further: NDArray[np.int8] | None = None


def mixed_batches(fresh: NDArray[np.bool_], tuning: FineTuning, rng: np.random.Generator) -> Iterator[Indices]:
    """Return the row numbers of each batch: ``fresh_share`` of it from fresh rows, the rest from older ones.

    Inside each part the draw is a shuffle, repeated when it is used up. Where one part is empty, the other fills in.
    """
    size = tuning.optimisation.batch_size
    parts = (np.flatnonzero(fresh), np.flatnonzero(~fresh))
    fresh_rows = round(size * tuning.fresh_share) if len(parts[1]) else size
    if not len(parts[0]):
        fresh_rows = 0
    draws = [_endless(part, rng) for part in parts]
    for _ in range(tuning.steps):
        taken = [_take(draws[0], fresh_rows), _take(draws[1], size - fresh_rows)]
        yield np.concatenate(taken)


def _endless(rows: Indices, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(rows).tolist()


def _take(draw: Iterator[int], count: int) -> Indices:
    return np.fromiter((next(draw) for _ in range(count)), np.int64, count)
