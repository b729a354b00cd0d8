"""How two versions of one network differ: in their weights, and in what they predict of the same samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from importance.errors import InvalidInput
from importance.evidence import PairedAuc, paired_auc
from trainer.labelled import Labelled
from trainer.tasks import with_tasks
from trainer.version_directory import Model


@dataclass(frozen=True, slots=True)
class PredictionDifference:
    """The predictions of two versions on the same ``samples``: B − A.

    ``mean`` and ``largest`` are of the absolute difference of the probabilities; ``rank_correlation`` is Spearman's,
    NaN where one of them is constant. ``auc`` compares them with the labels, A as the serving one; None where a label
    is missing.
    """

    samples: int
    mean: float
    largest: float
    rank_correlation: float
    auc: PairedAuc | None


def weight_changes(a: Model, b: Model) -> Mapping[str, float]:
    """Return ‖W_B − W_A‖ / ‖W_A‖ of each module that holds parameters, by its name; ``all`` is that of all together.

    A task that B has and A lacks counts from where it started, a copy of the scored logit. Raises InvalidInput
    where the networks are of different shape.
    """
    of_a = dict(with_tasks(a, b.card.tasks).network.named_parameters())
    of_b = dict(b.network.named_parameters())
    if {name: each.shape for name, each in of_a.items()} != {name: each.shape for name, each in of_b.items()}:
        raise InvalidInput("the two versions are networks of different shape; their weights cannot be compared")
    squares: dict[str, tuple[float, float]] = {"all": (0.0, 0.0)}
    for name, weight in of_a.items():
        moved = float((of_b[name].detach().double().cpu() - weight.detach().double().cpu()).square().sum())
        size = float(weight.detach().double().square().sum())
        for group in ("all", name.rpartition(".")[0]):
            before = squares.get(group, (0.0, 0.0))
            squares[group] = before[0] + moved, before[1] + size
    return {group: sqrt(moved / size) if size else 0.0 for group, (moved, size) in squares.items()}


def prediction_difference(
    rows: Labelled, of_a: NDArray[np.float64], of_b: NDArray[np.float64]
) -> PredictionDifference | None:
    """Compare predictions [n] of the same n samples; None without samples."""
    if not len(of_a):
        return None
    gap = np.abs(of_b - of_a)
    constant = np.ptp(of_a) == 0 or np.ptp(of_b) == 0
    rarer = min(int((rows.labels == 1).sum()), int((rows.labels == 0).sum()))
    numbers = {subject: number for number, subject in enumerate({sample.subject for sample in rows.samples})}
    subjects = np.array([numbers[sample.subject] for sample in rows.samples], dtype=np.int64)
    return PredictionDifference(
        samples=len(gap),
        mean=float(gap.mean()),
        largest=float(gap.max()),
        rank_correlation=float("nan") if constant else float(spearmanr(of_a, of_b).statistic),
        auc=paired_auc(rows.labels, of_b, of_a, subjects) if rarer >= 2 else None,
    )
