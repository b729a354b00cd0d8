"""How good predictions are: the figures of the trainer's evaluation, and NDCG@10 within what was ranked together."""

from dataclasses import asdict

import numpy as np

from importance.arrays import Floats, Integers
from trainer.evaluation import evaluate

FIGURES = ("auc", "accuracy", "precision", "recall", "f1", "ndcg", "pr_auc", "log_loss", "calibration_error")


def figures(labels: Integers, relevance: Floats, slates: Integers, prediction: Floats) -> dict[str, float]:
    """The `FIGURES` of P(label = 1) [n]; both labels must appear."""
    found = asdict(evaluate(labels, prediction)) | {"ndcg": ndcg(relevance, slates, prediction)}
    return {name: float(found[name]) for name in FIGURES}


def ndcg(relevance: Floats, slates: Integers, prediction: Floats, depth: int = 10) -> float:
    """NDCG@10, the mean over slates of Σ (2^relevance − 1) / log2(1 + rank) over that of the best order.

    Slates where any order is as good (one item, or all alike) are left out; NaN where nothing is left. Burges 2005.

    >>> round(ndcg(np.array([1.0, 0.0]), np.array([0, 0]), np.array([0.2, 0.9])), 4)  # at rank 2: 1 / log2(3)
    0.6309
    """
    _, slate = np.unique(slates, return_inverse=True)
    gain = 2.0**relevance - 1
    got, best = _discounted(gain, slate, prediction, depth), _discounted(gain, slate, relevance, depth)
    worst = _discounted(gain, slate, -relevance, depth)
    matters = best > worst + 1e-12
    return float((got[matters] / best[matters]).mean()) if matters.any() else float("nan")


def _discounted(gain: Floats, slate: Integers, by: Floats, depth: int) -> Floats:
    """Σ gain / log2(1 + rank) of each slate, ranked by falling ``by``; ties keep their order."""
    order = np.lexsort((-by, slate))
    first = np.r_[0, np.flatnonzero(np.diff(slate[order])) + 1]
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)])) + 1
    discount = np.where(rank <= depth, 1 / np.log2(1 + rank), 0.0)
    return np.bincount(slate[order], weights=gain[order] * discount).astype(np.float64)
