"""How good predictions were, from counts that add up: predictions by label and bin, 1,000 bins of equal width.

Counts add over workers, restarts and spans of time, so no prediction has to be kept. Metrics are exact up to a bin.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np

from importance.arrays import Floats, Integers
from importance.errors import InvalidInput
from importance.sample import Sample
from importance.scores import BASELINE, REFERENCE, SERVING, Scores
from importance.segments import Segments

BINS = 1_000
BLOCK_OFFSETS = 1_000
_CENTRES = (np.arange(BINS) + 0.5) / BINS
_NATS = -np.log(np.stack([1 - _CENTRES, _CENTRES]))  # [2 labels, BINS]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_MS = 86_400_000
_COUNTED = (SERVING, BASELINE, REFERENCE)  # those of shadow and mirror are compared by subject

Counts = Integers  # [2 labels, BINS]


class CountKey(msgspec.Struct, frozen=True, order=True):
    """Whose predictions, and of which samples, an array of counts holds.

    ``span`` is ``week:2011-01-03`` (its Monday, UTC, event time) or ``block:41`` (offsets 41,000 to 41,999 of the
    partition); ``predictor`` is serving, frozen (the baseline) or reference; ``slice`` is all, known (items the first
    model knew), or a segment, which is counted for serving and by week only.
    """

    partition: int
    span: str
    predictor: str
    version: str
    slice: str


def empty_counts() -> Counts:
    """Return counts of no predictions: zeros [2, BINS]."""
    return np.zeros((2, BINS), dtype=np.int64)


def bin_of(prediction: Floats) -> Integers:
    """Return the bin of each probability; 1 falls into the last one.

    >>> bin_of(np.array([0.0, 0.0005, 0.5, 1.0])).tolist()
    [0, 0, 500, 999]
    """
    if not bool(np.all((prediction >= 0) & (prediction <= 1))):
        raise InvalidInput("a prediction lies outside [0, 1]; only probabilities can be counted")
    return np.minimum((prediction * BINS).astype(np.int64), BINS - 1)


def week_of(time_ms: int) -> str:
    """Return the span of the week, Monday to Sunday in UTC, that an event time lies in.

    >>> week_of(1_294_012_800_000), week_of(1_294_012_799_999)
    ('week:2011-01-03', 'week:2010-12-27')
    """
    return _week(_week_index(np.array([time_ms]))[0])


def monday_ms(week: str) -> int:
    """Return the event time at which the span of a week starts.

    >>> monday_ms("week:2011-01-03")
    1294012800000
    """
    start = datetime.strptime(week, "week:%Y-%m-%d").replace(tzinfo=UTC)
    return (start - _EPOCH) // timedelta(milliseconds=1)


def block_of(offset: int) -> str:
    """Return the span of the thousand offsets that an offset lies in."""
    return f"block:{offset // BLOCK_OFFSETS}"


def _week_index(times_ms: Integers) -> Integers:
    """Return the weeks since the Monday before the epoch, which was a Thursday."""
    return (times_ms // _DAY_MS + 3) // 7


def _week(index: int) -> str:
    return f"week:{_EPOCH + timedelta(days=7 * int(index) - 3):%Y-%m-%d}"


def tally(samples: Sequence[Sample], labels: Sequence[int], scores: Scores) -> dict[CountKey, Counts]:
    """Count a batch's predictions by partition, span, predictor and slice; only keys with a count appear.

    ``labels`` are those at the windows' close. A reference of NaN (the sample brings none) is not counted.
    """
    count = len(samples)
    if not count == len(labels) == len(scores):
        raise InvalidInput(f"{count} samples, {len(labels)} labels and {len(scores)} scores; there must be one each")
    if not scores.predictions:
        return {}
    partitions = np.fromiter((sample.partition for sample in samples), np.int64, count)
    weeks = _week_index(np.fromiter((sample.time_ms for sample in samples), np.int64, count))
    blocks = np.fromiter((sample.offset for sample in samples), np.int64, count) // BLOCK_OFFSETS
    row = np.asarray(labels, dtype=np.int64) * BINS
    tallied: dict[CountKey, Counts] = {}
    for partition in np.unique(partitions).tolist():
        here = partitions == partition
        spans = [(_week(week), here & (weeks == week)) for week in np.unique(weeks[here])]
        spans += [(f"block:{block}", here & (blocks == block)) for block in np.unique(blocks[here])]
        for predictor, predictions in scores.predictions.items():
            if predictor not in _COUNTED:
                continue
            values = predictions.values
            present = ~np.isnan(values) if predictor == REFERENCE else np.ones(count, dtype=bool)
            cells = row + bin_of(np.where(present, values, 0.0))
            slices = [("all", present)] + ([("known", present & scores.known)] if scores.known is not None else [])
            for span, inside in spans:
                for slice_, chosen in slices:
                    counts = np.bincount(cells[inside & chosen], minlength=2 * BINS)
                    if counts.any():
                        key = CountKey(partition, span, predictor, predictions.version, slice_)
                        tallied[key] = counts.reshape(2, BINS)
    return tallied


def tally_segments(
    samples: Sequence[Sample], labels: Sequence[int], scores: Scores, segments: Segments | None
) -> dict[CountKey, Counts]:
    """Count the serving version's predictions by partition, week and segment: every sample is of one, each is a slice.

    Nothing without segments or predictions.
    """
    if segments is None or scores.prediction is None or not samples:
        return {}
    cells = np.asarray(labels, dtype=np.int64) * BINS + bin_of(scores.prediction)
    weeks = _week_index(np.fromiter((sample.time_ms for sample in samples), np.int64, len(samples)))
    slices = [(s.partition, week, segments.of(s.attributes)) for s, week in zip(samples, weeks.tolist(), strict=True)]
    rows: dict[tuple[int, int, str], list[int]] = {}
    for row, slice_ in enumerate(slices):
        rows.setdefault(slice_, []).append(row)
    return {
        CountKey(partition, _week(week), SERVING, scores.model, segment): np.bincount(
            cells[chosen], minlength=2 * BINS
        ).reshape(2, BINS)
        for (partition, week, segment), chosen in rows.items()
    }


def samples(counts: Counts) -> int:
    """Return how many predictions were counted."""
    return int(counts.sum())


def auc(counts: Counts) -> float:
    """Return P(a positive's prediction > a negative's) + ½ P(equal bins); NaN where a class is missing.

    >>> counts = empty_counts(); counts[0, [100, 200]] = 1; counts[1, [200, 300]] = 1
    >>> auc(counts)
    0.875
    """
    negatives, positives = counts.astype(np.float64)
    pairs = negatives.sum() * positives.sum()
    below = np.cumsum(negatives) - negatives
    return float(positives @ (below + negatives / 2) / pairs) if pairs else float("nan")


def auc_error(counts: Counts) -> float:
    """Return the standard error of `auc`, for independent samples; NaN where a class is missing.

    σ² = (A(1 − A) + (n₁ − 1)(A/(2 − A) − A²) + (n₀ − 1)(2A²/(1 + A) − A²)) / (n₀n₁): Hanley & McNeil 1982.

    >>> counts = empty_counts(); counts[0, 100:200] = 1; counts[1, 150:250] = 1
    >>> round(auc_error(counts), 4)
    0.0252
    """
    negatives, positives = counts.sum(axis=1).tolist()
    if not negatives or not positives:
        return float("nan")
    area = auc(counts)
    of_positives = (positives - 1) * (area / (2 - area) - area**2)
    of_negatives = (negatives - 1) * (2 * area**2 / (1 + area) - area**2)
    return float(np.sqrt((area * (1 - area) + of_positives + of_negatives) / (negatives * positives)))


def log_loss(counts: Counts) -> float:
    """Return the mean −ln P(label), in nats, with every prediction moved to the centre of its bin; NaN of nothing."""
    total = counts.sum()
    return float((counts * _NATS).sum() / total) if total else float("nan")


def losses(labels: Integers, prediction: Floats) -> Floats:
    """Return what each prediction [n] adds to `log_loss`: −ln P(label), in nats, at the centre of its bin.

    >>> losses(np.array([1, 0]), np.array([0.5, 0.5])).round(4).tolist()
    [0.6921, 0.6941]
    """
    nats: Floats = _NATS[labels, bin_of(prediction)]
    return nats


def calibration_error(counts: Counts, groups: int = 10) -> float:
    """Return the expected calibration error: Σ over equal-width groups of n_g/n·|mean label − mean prediction|.

    Guo et al. 2017, equation 3. Coarser groups than the bins, or the noise of a bin would count as error.
    """
    total = counts.sum()
    gaps = (counts[1] - counts.sum(axis=0) * _CENTRES).reshape(groups, -1).sum(axis=1)
    return float(np.abs(gaps).sum() / total) if total else float("nan")
