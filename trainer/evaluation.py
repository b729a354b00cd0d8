"""How good a model is on samples it never trained on. Pure arrays; independent of models."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from importance import quality
from importance.arrays import Booleans, Floats, Integers
from importance.errors import InvalidInput

_MIN_PROBABILITY = 1e-7  # a log-loss is clipped there: one sure mistake must not outweigh all else


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Metrics of n predictions; accuracy, precision, recall and F1 at a threshold of one half."""

    samples: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    auc: float
    pr_auc: float
    log_loss: float
    calibration_error: float


def evaluate(labels: Integers, prediction: Floats) -> Evaluation:
    """Return the metrics of P(label = 1) [n] against labels [n] in {0, 1}; both classes must appear.

    >>> found = evaluate(np.array([0, 0, 1, 1]), np.array([0.1, 0.6, 0.4, 0.9]))
    >>> found.auc, found.accuracy, round(found.pr_auc, 4)
    (0.75, 0.5, 0.8333)
    """
    if len(set(labels.tolist())) < 2:
        raise InvalidInput(f"{len(labels)} samples of fewer than two classes cannot be evaluated; both are needed")
    positive, chosen = labels == 1, prediction >= 0.5
    hits = float((positive & chosen).sum())
    precision = hits / chosen.sum() if chosen.any() else 0.0
    recall = hits / positive.sum()
    sure = np.clip(np.where(positive, prediction, 1 - prediction), _MIN_PROBABILITY, 1.0)
    counts = quality.empty_counts()
    np.add.at(counts, (labels, quality.bin_of(prediction)), 1)
    return Evaluation(
        samples=len(labels),
        accuracy=float((positive == chosen).mean()),
        precision=float(precision),
        recall=float(recall),
        f1=float(2 * precision * recall / (precision + recall)) if hits else 0.0,
        auc=_auc(positive, prediction),
        pr_auc=_average_precision(positive, prediction),
        log_loss=float(-np.log(sure).mean()),
        calibration_error=quality.calibration_error(counts),
    )


def _auc(positive: Booleans, prediction: Floats) -> float:
    """Return P(a positive's prediction > a negative's) + ½ P(equal), by midranks (Mann & Whitney 1947)."""
    positives = int(positive.sum())
    above = rankdata(prediction)[positive].sum() - positives * (positives + 1) / 2
    return float(above / (positives * (len(positive) - positives)))


def _average_precision(positive: Booleans, prediction: Floats) -> float:
    """Return Σ (R_k − R_{k−1})·P_k over the distinct thresholds, falling: the area under the precision steps."""
    order = np.argsort(-prediction, kind="stable")
    hits = np.cumsum(positive[order])
    last_of_ties = np.flatnonzero(np.append(np.diff(prediction[order]) != 0, True))
    precision = hits[last_of_ties] / (last_of_ties + 1)
    recall = hits[last_of_ties] / hits[-1]
    return float((np.diff(recall, prepend=0.0) * precision).sum())
