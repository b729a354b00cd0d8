"""The quality of predictions: the metrics of the trainer's evaluation, and NDCG@10 of each slate."""

from dataclasses import asdict

import numpy as np

from importance.arrays import Floats, Integers
from trainer.evaluation import evaluate

METRICS = ("auc", "accuracy", "precision", "recall", "f1", "ndcg", "pr_auc", "log_loss", "calibration_error")


def metrics(labels: Integers, relevance: Floats, slates: Integers, prediction: Floats) -> dict[str, float]:
    """Compute the `METRICS` of P(label = 1) [n]; both labels must occur."""
    found = asdict(evaluate(labels, prediction)) | {"ndcg": ndcg(relevance, slates, prediction)}
    return {name: float(found[name]) for name in METRICS}


def ndcg(relevance: Floats, slates: Integers, prediction: Floats, depth: int = 10) -> float:
    """Compute NDCG@10: the mean over slates of Σ (2^relevance − 1) / log2(1 + rank), relative to the best order.

    Slates where all orders are equally good (one item, or equal relevance) are left out; NaN without any. Burges 2005.

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
    """Return Σ gain / log2(1 + rank) of each slate, ranked by descending ``by``; ties keep their order."""
    order = np.lexsort((-by, slate))
    first = np.r_[0, np.flatnonzero(np.diff(slate[order])) + 1]
    rank = np.arange(len(order)) - np.repeat(first, np.diff(np.r_[first, len(order)])) + 1
    discount = np.where(rank <= depth, 1 / np.log2(1 + rank), 0.0)
    return np.bincount(slate[order], weights=gain[order] * discount).astype(np.float64)
