"""Paired tests, against brute force and other libraries, and by how often they are wrong."""

from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from importance.errors import InvalidInput
from importance.evidence import PairedAuc, holm, mcnemar, paired_auc, paired_bootstrap


def scored(seed: int, count: int, gain: float = 0.0, decimals: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and correlated scores of two models; rounding makes ties."""
    random = np.random.default_rng(seed)
    labels = np.concatenate([[0, 0, 1, 1], random.integers(0, 2, count - 4)])
    common = labels + random.normal(size=count)
    candidate, serving = (
        common + gain * labels + 0.5 * random.normal(size=count),
        common + 0.5 * random.normal(size=count),
    )
    return labels, np.round(candidate, decimals), np.round(serving, decimals)


def by_all_pairs(labels: np.ndarray, candidate: np.ndarray, serving: np.ndarray) -> tuple[float, float]:
    """DeLong's difference and standard error, by the formula and in O(m·n)."""
    of_positives, of_negatives = [], []
    for scores in (candidate, serving):
        right = (scores[labels == 1][:, None] > scores[labels == 0]) * 1.0
        right += (scores[labels == 1][:, None] == scores[labels == 0]) * 0.5
        of_positives.append(right.mean(axis=1))
        of_negatives.append(right.mean(axis=0))
    contrast = np.array([1.0, -1.0])
    covariance = np.cov(of_positives) / (labels == 1).sum() + np.cov(of_negatives) / (labels == 0).sum()
    return of_positives[0].mean() - of_positives[1].mean(), sqrt(max(0.0, contrast @ covariance @ contrast))


@given(st.integers(0, 10**6), st.integers(4, 120), st.integers(0, 6))
def test_the_fast_comparison_is_that_of_all_pairs(seed: int, count: int, decimals: int) -> None:
    labels, candidate, serving = scored(seed, count, decimals=decimals)
    result = paired_auc(labels, candidate, serving)
    difference, error = by_all_pairs(labels, candidate, serving)
    assert result.candidate == pytest.approx(roc_auc_score(labels, candidate), abs=1e-12)
    assert result.serving == pytest.approx(roc_auc_score(labels, serving), abs=1e-12)
    assert result.difference == pytest.approx(difference, abs=1e-12)
    assert result.standard_error == pytest.approx(error, abs=1e-9)


def test_a_model_compared_with_itself_differs_by_exactly_nothing() -> None:
    labels, candidate, _ = scored(1, 50)
    same = paired_auc(labels, candidate, candidate)
    assert (same.difference, same.standard_error, same.lower(), same.upper()) == (0, 0, 0, 0)


@given(st.integers(0, 10**6))
def test_only_the_order_of_scores_counts(seed: int) -> None:
    labels, candidate, serving = scored(seed, 60, decimals=2)
    assert paired_auc(labels, np.exp(candidate), serving**3) == paired_auc(labels, candidate, serving)


def test_the_bounds_enclose_the_difference_one_sided() -> None:
    result = PairedAuc(0.85, 0.80, standard_error=0.02)
    # 1.6449 standard errors at 5 %, 2.3263 at 1 %.
    assert result.lower(0.05) == pytest.approx(0.05 - 1.6449 * 0.02, abs=1e-6)
    assert result.upper(0.01) == pytest.approx(0.05 + 2.3263 * 0.02, abs=1e-6)


def test_equal_models_fall_below_the_bound_as_often_as_the_level_says() -> None:
    bounds = [paired_auc(*scored(seed, 300)).lower(0.05) for seed in range(1_000)]
    # 5 % of 1,000 with a standard error of 0.7 %.
    assert 0.028 < np.mean(np.array(bounds) > 0) < 0.072


def grouped(seed: int, groups: int = 60, size: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Equal models whose errors go together within a subject."""
    random = np.random.default_rng(seed)
    subject = np.repeat(np.arange(groups), size)
    labels = random.integers(0, 2, groups * size)
    taste = random.normal(size=(2, groups)) * (2 * random.integers(0, 2, groups) - 1)
    noise = random.normal(size=(2, groups * size))
    direction = 2 * labels - 1
    candidate, serving = labels + noise + direction * taste[:, subject] * 0.8
    return labels, candidate, serving, subject


def test_events_of_one_subject_need_the_variance_between_subjects() -> None:
    naive, by_subject = [], []
    for seed in range(600):
        labels, candidate, serving, subject = grouped(seed)
        naive.append(paired_auc(labels, candidate, serving).lower(0.05) > 0)
        by_subject.append(paired_auc(labels, candidate, serving, subject).lower(0.05) > 0)
    assert np.mean(naive) > 0.12
    assert 0.02 < np.mean(by_subject) < 0.08


def test_groups_of_one_event_change_next_to_nothing() -> None:
    labels, candidate, serving = scored(3, 400, gain=0.3)
    alone = paired_auc(labels, candidate, serving)
    of_groups = paired_auc(labels, candidate, serving, np.arange(400))
    assert of_groups.standard_error == pytest.approx(alone.standard_error, rel=0.01)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1], [1, 1, 1, 1]])
def test_an_auc_of_too_few_events_is_refused(labels: list[int]) -> None:
    with pytest.raises(InvalidInput, match="at least 2 events of each label"):
        paired_auc(np.array(labels), np.arange(4.0), np.arange(4.0))


@pytest.mark.parametrize("level", [0.0, 1.0, float("nan")])
def test_a_level_that_is_no_probability_is_refused(level: float) -> None:
    with pytest.raises(InvalidInput, match="the level of a test"):
        PairedAuc(0.5, 0.5, 0.1).lower(level)


def test_one_group_alone_has_no_variance() -> None:
    labels, candidate, serving = scored(3, 10)
    with pytest.raises(InvalidInput, match="all events belong to one"):
        paired_auc(labels, candidate, serving, np.zeros(10, dtype=np.int64))


@given(st.integers(0, 3_000), st.integers(0, 3_000))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    expected = stats.binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    # Scipy's own tail underflows to 0 below about 1e-300.
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9, abs=1e-290)


def test_mcnemar_of_a_million_events_neither_overflows_nor_takes_long() -> None:
    assert mcnemar(500_000, 500_000) == 1.0
    assert mcnemar(498_000, 502_000) == pytest.approx(stats.binomtest(498_000, 10**6, 0.5).pvalue, rel=1e-6)


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be below 0"):
        mcnemar(-1, 3)


def test_a_bootstrap_by_event_agrees_with_the_analytic_interval() -> None:
    labels, candidate, serving = scored(5, 400, gain=0.3)

    def difference(rows: np.ndarray) -> float:
        return float(roc_auc_score(labels[rows], candidate[rows]) - roc_auc_score(labels[rows], serving[rows]))

    drawn = paired_bootstrap(difference, np.arange(400), np.random.default_rng(0), repeats=400)
    exact = paired_auc(labels, candidate, serving)
    assert drawn.estimate == pytest.approx(exact.difference)
    assert drawn.low == pytest.approx(exact.lower(0.025), abs=0.35 * exact.standard_error)
    assert drawn.high == pytest.approx(exact.upper(0.025), abs=0.35 * exact.standard_error)


def test_a_bootstrap_draws_whole_groups_and_repeats_with_its_seed() -> None:
    groups = np.array([7, 3, 7, 3, 3, 9])
    seen: list[np.ndarray] = []

    def difference(rows: np.ndarray) -> float:
        seen.append(rows)
        return float(rows.sum())

    first = paired_bootstrap(difference, groups, np.random.default_rng(4), repeats=50)
    assert all(
        np.bincount(groups[rows], minlength=10)[group] % np.sum(groups == group) == 0
        for rows in seen
        for group in (3, 7, 9)
    )
    assert first == paired_bootstrap(difference, groups, np.random.default_rng(4), repeats=50)


def test_a_draw_without_a_figure_is_left_out() -> None:
    interval = paired_bootstrap(
        lambda rows: float("nan") if len(set(rows.tolist())) == 1 else 1.0,
        np.arange(3), np.random.default_rng(0), repeats=200,
    )  # fmt: skip
    assert (interval.estimate, interval.low, interval.high) == (1.0, 1.0, 1.0)


def test_holm_adjusts_as_published() -> None:
    assert holm([0.01, 0.02, 0.9, 0.005]) == [0.03, 0.04, 0.9, 0.02]
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []
