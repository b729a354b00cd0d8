"""Further comparisons of a candidate with the serving model on the holdout: notes beside the gate's decision. Pure.

Accuracy by McNemar's exact test; F1, NDCG@10 and log-loss by a bootstrap that draws whole subjects; calibration.
"""

from collections.abc import Callable

import numpy as np

from importance.arrays import Booleans, Floats, Integers
from importance.evidence import Interval, mcnemar, paired_bootstrap
from importance.quality import losses
from trainer.evaluation import evaluate
from trainer.gate_check import Check

TOP = 10
"""Ranks that NDCG counts."""
_MIN_DRAWS, _MAX_DRAWS, _DRAWN_SUBJECTS = 100, 400, 400_000


def notes(
    labels: Integers,
    candidate: Floats,
    serving: Floats,
    subjects: Integers,
    lists: Integers,
    random: np.random.Generator,
    level: float = 0.05,
) -> tuple[Check, ...]:
    """Compare P(label = 1) [n] of both models with labels [n], of which both classes must appear.

    ``subjects`` and ``lists`` [n] number the subjects and the lists that were ranked, each of one subject. A note does
    not pass where the candidate is significantly worse at ``level``, one-sided.
    """
    positive = labels == 1
    found = [_accuracy(positive, candidate, serving, level)]
    by_subject = _Subjects(subjects, random, level)
    found.append(_f1(positive, candidate, serving, by_subject))
    gains = ndcg(positive, candidate, lists), ndcg(positive, serving, lists)
    if len(gains[0]):
        found.append(_ndcg(*gains, _subject_of(positive, lists, subjects), random, level))
    found.append(_log_loss(losses(labels, candidate), losses(labels, serving), by_subject))
    errors = (evaluate(labels, prediction).calibration_error for prediction in (candidate, serving))
    found.append(_calibration(*errors))
    return tuple(found)


def ndcg(positive: Booleans, scores: Floats, lists: Integers) -> Floats:
    """Return NDCG@10 of each list with a positive and at least two items, in order of its number.

    DCG = Σ over the first ten ranks of gain/log₂(rank + 1), gain 1 of a positive, divided by that of the best order
    (Järvelin & Kekäläinen 2002). Among equal scores positives come last, so that a constant gains nothing.

    >>> ndcg(np.array([False, True, True, False]), np.array([0.9, 0.1, 0.8, 0.2]), np.array([0, 0, 1, 1])).round(4)
    array([0.6309, 1.    ])
    """
    order = np.lexsort((positive, -scores, lists))
    best = np.lexsort((~positive, lists))
    counted = _lists_with_order(positive, lists)
    gain = np.bincount(lists[order], positive[order] * _discounts(lists[order]))
    ideal = np.bincount(lists[best], positive[best] * _discounts(lists[best]))
    result: Floats = gain[counted] / ideal[counted]
    return result


def _discounts(ordered: Integers) -> Floats:
    """Return 1/log₂(rank + 1) [n] of the first ten of each list, 0 of the rest; ``ordered`` are sorted numbers."""
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    rank = np.arange(len(ordered)) - np.repeat(starts, np.diff(starts, append=len(ordered))) + 1
    return np.where(rank <= TOP, 1 / np.log2(rank + 1), 0.0)


def _lists_with_order(positive: Booleans, lists: Integers) -> Integers:
    return np.flatnonzero((np.bincount(lists, positive) > 0) & (np.bincount(lists) > 1))


def _subject_of(positive: Booleans, lists: Integers, subjects: Integers) -> Integers:
    of = np.zeros(int(lists.max()) + 1, np.int64)
    of[lists] = subjects
    result: Integers = of[_lists_with_order(positive, lists)]
    return result


class _Subjects:
    """Sums by subject, and the interval of a difference that is computed of such sums."""

    def __init__(self, subjects: Integers, random: np.random.Generator, level: float) -> None:
        numbers, self._index = np.unique(subjects, return_inverse=True)
        self._numbers = np.arange(len(numbers))
        self._random, self._level = random, level

    def sums(self, values: Floats | Booleans) -> Floats:
        """Return the sum over each subject's samples."""
        return np.bincount(self._index, values).astype(np.float64)

    def interval(self, difference: Callable[[Integers], float]) -> Interval:
        """Return the interval of a difference, which gets the drawn subjects."""
        return _interval(difference, self._numbers, self._random, self._level)


def _interval(
    difference: Callable[[Integers], float], groups: Integers, random: np.random.Generator, level: float
) -> Interval:
    draws = min(_MAX_DRAWS, max(_MIN_DRAWS, _DRAWN_SUBJECTS // max(1, len(groups))))
    return paired_bootstrap(difference, groups, random, draws, 2 * level)


def _accuracy(positive: Booleans, candidate: Floats, serving: Floats, level: float) -> Check:
    first, second = (candidate >= 0.5) == positive, (serving >= 0.5) == positive
    only_candidate, only_serving = int((first & ~second).sum()), int((second & ~first).sum())
    p_value = mcnemar(only_candidate, only_serving)
    passed = only_candidate >= only_serving or p_value > 2 * level
    statistics = {
        "candidate": float(first.mean()),
        "serving": float(second.mean()),
        "only candidate right": only_candidate,
        "only serving right": only_serving,
        "p": p_value,
    }
    reason = f"only the candidate right {only_candidate} times, the serving version {only_serving}, p {p_value:.3g}"
    return Check("accuracy (McNemar)", passed, False, statistics, reason)


def _f1(positive: Booleans, candidate: Floats, serving: Floats, by_subject: _Subjects) -> Check:
    def counts(prediction: Floats) -> tuple[Floats, Floats]:
        chosen = prediction >= 0.5
        return by_subject.sums(positive & chosen), by_subject.sums(positive) + by_subject.sums(chosen)

    (hits, both), (other_hits, other_both) = counts(candidate), counts(serving)

    def f1(hits: Floats, both: Floats) -> float:
        return float(2 * hits.sum() / max(1.0, both.sum()))

    found = by_subject.interval(lambda drawn: f1(hits[drawn], both[drawn]) - f1(other_hits[drawn], other_both[drawn]))
    return _by_interval("F1", f1(hits, both), f1(other_hits, other_both), found)


def _ndcg(candidate: Floats, serving: Floats, subjects: Integers, random: np.random.Generator, level: float) -> Check:
    gain = candidate - serving
    found = _interval(lambda drawn: float(gain[drawn].mean()), subjects, random, level)
    return _by_interval(f"NDCG@{TOP}", float(candidate.mean()), float(serving.mean()), found, {"lists": len(gain)})


def _log_loss(candidate: Floats, serving: Floats, by_subject: _Subjects) -> Check:
    more, count = by_subject.sums(serving - candidate), by_subject.sums(np.ones(len(candidate)))
    found = by_subject.interval(lambda drawn: float(more[drawn].sum() / count[drawn].sum()))
    return _by_interval("log-loss", float(candidate.mean()), float(serving.mean()), found)


def _by_interval(
    name: str, candidate: float, serving: float, gain: Interval, further: dict[str, float] | None = None
) -> Check:
    """Return a check of the interval of what the candidate gains; more is better."""
    statistics = {"candidate": candidate, "serving": serving, "gain": gain.estimate, "low": gain.low, "high": gain.high}
    between = f"between {gain.low:+.4f} and {gain.high:+.4f}"
    reason = f"{candidate:.4f} against {serving:.4f}, gain {gain.estimate:+.4f} {between}"
    return Check(name, not gain.high < 0, False, statistics | (further or {}), reason)


def _calibration(candidate: float, serving: float) -> Check:
    reason = f"{candidate:.4f} against {serving:.4f}"
    statistics = {"candidate": candidate, "serving": serving}
    return Check("calibration error", candidate <= serving + 0.05, False, statistics, reason)
