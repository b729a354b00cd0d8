"""Figures from counts of predictions."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss as exact_log_loss
from sklearn.metrics import roc_auc_score

from importance.errors import InvalidInput
from importance.quality import (
    BINS,
    CountKey,
    auc,
    bin_of,
    block_of,
    calibration_error,
    empty_counts,
    log_loss,
    samples,
    tally,
    week_of,
)
from importance.sample import Sample
from importance.scores import BASELINE, REFERENCE, SERVING, Predictions, Scores

MONDAY_MS = 1_294_012_800_000  # 3 January 2011


def counted(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    counts = empty_counts()
    np.add.at(counts, (labels, bin_of(predictions)), 1)
    return counts


@st.composite
def labelled_predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Both labels, predictions anywhere in [0, 1], many of them equal."""
    count = draw(st.integers(2, 300))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = np.concatenate([[0, 1], random.integers(0, 2, count - 2)])
    predictions = np.clip(random.normal(0.5 + 0.2 * labels, draw(st.floats(0.001, 0.5))), 0, 1)
    return labels, np.round(predictions, draw(st.integers(1, 9)))


@given(labelled_predictions())
def test_auc_is_that_of_the_bins_and_within_a_bin_of_that_of_the_predictions(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, predictions = data
    counts = counted(labels, predictions)
    assert auc(counts) == pytest.approx(roc_auc_score(labels, bin_of(predictions)), abs=1e-12)
    undecided = (counts[0] * counts[1]).sum() / (counts[0].sum() * counts[1].sum())
    assert abs(auc(counts) - roc_auc_score(labels, predictions)) <= undecided / 2 + 1e-12


@given(labelled_predictions())
def test_log_loss_is_that_of_the_centres_and_close_to_that_of_the_predictions(
    data: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, predictions = data
    counts = counted(labels, predictions)
    centres = (bin_of(predictions) + 0.5) / BINS
    assert log_loss(counts) == pytest.approx(exact_log_loss(labels, centres, labels=[0, 1]), rel=1e-9)
    inner = np.clip(predictions, 0.05, 0.95)
    # Half a bin moves −ln p by at most 0.0005 / (0.05 − 0.0005).
    assert abs(log_loss(counted(labels, inner)) - exact_log_loss(labels, inner, labels=[0, 1])) < 0.0102


@given(labelled_predictions())
def test_calibration_error_is_that_of_ten_groups(data: tuple[np.ndarray, np.ndarray]) -> None:
    labels, predictions = data
    bins = bin_of(predictions)
    expected = 0.0
    for group in range(10):
        inside = bins // 100 == group
        if inside.any():
            expected += inside.mean() * abs(labels[inside].mean() - ((bins[inside] + 0.5) / BINS).mean())
    assert calibration_error(counted(labels, predictions)) == pytest.approx(expected, abs=1e-12)


@given(st.lists(labelled_predictions(), min_size=1, max_size=4))
def test_counts_add_up(parts: list[tuple[np.ndarray, np.ndarray]]) -> None:
    together = counted(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))
    assert np.array_equal(sum(counted(*part) for part in parts), together)
    assert samples(together) == sum(len(part[0]) for part in parts)


def test_nothing_counted_and_one_class_alone_have_no_figure() -> None:
    one_class = counted(np.array([1, 1]), np.array([0.2, 0.7]))
    assert np.isnan([auc(empty_counts()), log_loss(empty_counts()), calibration_error(empty_counts())]).all()
    assert np.isnan(auc(one_class))
    assert np.isfinite(log_loss(one_class))


@pytest.mark.parametrize("wrong", [-0.001, 1.001, float("nan")])
def test_what_is_no_probability_is_not_counted(wrong: float) -> None:
    with pytest.raises(InvalidInput, match=r"outside \[0, 1\]"):
        bin_of(np.array([0.5, wrong]))


@given(st.integers(0, 4_000_000_000_000))
def test_a_week_begins_on_its_monday_in_utc(time_ms: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    assert week_of(time_ms) == f"week:{(moment - timedelta(days=moment.weekday())).date()}"


def batch(count: int) -> tuple[list[Sample], list[int], Scores]:
    random = np.random.default_rng(count)
    partitions, offsets = random.integers(0, 3, count).tolist(), random.integers(0, 2_500, count).tolist()
    times = (MONDAY_MS + random.integers(-86_400_000, 9 * 86_400_000, count)).tolist()
    made = [
        Sample(str(number), "s", "search", "q", "i", "t", time_ms=times[number], partition=partitions[number],
               offset=offsets[number])
        for number in range(count)
    ]  # fmt: skip
    reference = np.where(random.uniform(size=count) < 0.3, np.nan, random.uniform(size=count))
    predictions = {
        SERVING: Predictions("v5", random.uniform(size=count)),
        BASELINE: Predictions("v1", random.uniform(size=count)),
        REFERENCE: Predictions("", reference),
    }
    known = random.uniform(size=count) < 0.5
    scores = Scores(np.ones(count), "uniform", "v5", predictions=predictions, known=known)
    return made, random.integers(0, 2, count).tolist(), scores


@given(st.integers(0, 200))
def test_a_tally_is_what_counting_one_by_one_gives(count: int) -> None:
    made, labels, scores = batch(count)
    assert scores.known is not None
    expected: dict[CountKey, np.ndarray] = {}
    predictors = [
        (name, version, scores.predictions[name].values)
        for name, version in (("serving", "v5"), ("frozen", "v1"), ("reference", ""))
    ]
    for number, (one, label) in enumerate(zip(made, labels, strict=True)):
        for predictor, version, predictions in predictors:
            if np.isnan(predictions[number]):
                continue
            for span in (week_of(one.time_ms), block_of(one.offset)):
                for slice_ in ("all", "known") if scores.known[number] else ("all",):
                    key = CountKey(one.partition, span, predictor, version, slice_)
                    counts = expected.setdefault(key, empty_counts())
                    counts[label, int(predictions[number] * BINS)] += 1
    tallied = tally(made, labels, scores)
    assert tallied.keys() == expected.keys()
    assert all(np.array_equal(tallied[key], counts) for key, counts in expected.items())


def test_without_predictions_nothing_is_counted() -> None:
    made, labels, _ = batch(5)
    assert tally(made, labels, Scores.uniform(5)) == {}


def test_a_tally_wants_a_label_and_a_score_for_each_sample() -> None:
    made, labels, _ = batch(5)
    with pytest.raises(InvalidInput, match="5 samples, 5 labels and 4 scores"):
        tally(made, labels, Scores.uniform(4))
