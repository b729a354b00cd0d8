"""Results of two models on live traffic, by subject: which ordered a subject's own impressions better.

A function of predictions and labels, independent of calibration: only the order within a subject counts. Independent
of storage and of what the results decide.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from importance.arrays import Booleans, Floats, Integers
from importance.canary import is_canary
from importance.hashing import uniforms
from importance.sample import Sample
from importance.scores import MIRROR, SHADOW, Scores

_PURPOSE = "comparison"  # a salt of its own: independent of holdout, draw and canary
_NUMBERS = 2.0**52

Gains = Mapping["Pair", Mapping[int, int]]
"""By pair of versions: the number of a subject → by how much the first version orders its impressions better.

Only the sign counts: see `gains`."""


class Pair(msgspec.Struct, frozen=True, order=True):
    """Two versions: ``version`` is compared with ``against``, the one that served; ``predictor`` names the test."""

    predictor: str
    version: str
    against: str


def numbers(subjects: Sequence[str], salt: str) -> list[int]:
    """Return a number of 52 bits for each subject, by which it is recognised without its name."""
    return [int(each) for each in uniforms(subjects, salt, _PURPOSE) * _NUMBERS]


def of_share(samples: Sequence[Sample], share: float, salt: str) -> Booleans:
    """Return which samples [n] belong to the share of subjects, chosen by a hash, that is compared."""
    if share >= 1:
        return np.ones(len(samples), np.bool_)
    subjects = list(dict.fromkeys(sample.subject for sample in samples))
    chosen = dict(zip(subjects, uniforms(subjects, salt, "compared") < share, strict=True))
    return np.fromiter((chosen[sample.subject] for sample in samples), np.bool_, len(samples))


def gains(
    samples: Sequence[Sample], labels: Sequence[int], scores: Scores, salt: str, canary_share: float = 0.0
) -> dict[Pair, dict[int, int]]:
    """Compare the further models with the serving one on each subject that has impressions of both labels.

    The gain is the number of pairs of a positive and a negative that the model orders rightly, less those that it
    orders wrongly, minus the same of the serving model. What a model did not predict (NaN) is left out, and so are the
    subjects of ``canary_share``: a candidate ordered their lists, and what is shown high is chosen more often.
    """
    serving = scores.prediction
    compared = {
        Pair(predictor, found.version, scores.model): found.values
        for predictor in (SHADOW, MIRROR)
        if (found := scores.predictions.get(predictor)) is not None and found.version != scores.model
    }
    if serving is None or not compared:
        return {}
    both = _both_labels(samples, np.asarray(labels))
    pairs = {subject: rows for subject, rows in both.items() if not is_canary(subject, canary_share, salt)}
    known = numbers(list(pairs), salt)
    return {
        pair: {
            number: _ordered(values, *rows) - _ordered(serving, *rows)
            for number, rows in zip(known, pairs.values(), strict=True)
            if not np.isnan(values[rows[0][0]])
        }
        for pair, values in compared.items()
    }


def _both_labels(samples: Sequence[Sample], labels: Integers) -> dict[str, tuple[Integers, Integers]]:
    """Return the rows of positives and negatives of each subject that has both."""
    rows: dict[str, list[int]] = {}
    for row, sample in enumerate(samples):
        rows.setdefault(sample.subject, []).append(row)
    found = {}
    for subject, several in rows.items():
        own = np.array(several)
        positive, negative = own[labels[own] == 1], own[labels[own] == 0]
        if len(positive) and len(negative):
            found[subject] = positive, negative
    return found


def _ordered(values: Floats, positive: Integers, negative: Integers) -> int:
    """Return pairs in the right order less pairs in the wrong one."""
    return int(np.sign(values[positive][:, None] - values[negative]).sum())
