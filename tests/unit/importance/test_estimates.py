"""Estimates from a buffer: exact where they can be. What they promise on average is in `test_buffer_statistics`."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from importance.errors import InvalidInput
from importance.estimates import MIN_HITS, mean, share, total

ROWS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(1e-6, 1.0)), min_size=1, max_size=60)


def columns(rows: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    values, probability = zip(*rows, strict=True)
    return np.array(values), np.array(probability)


@given(ROWS)
def test_an_interval_holds_its_estimate_and_nothing_below_zero(rows: list[tuple[float, float]]) -> None:
    values, probability = columns(rows)
    for found in (total(values, probability), mean(values, probability)):
        assert 0 <= found.low <= found.value * (1 + 1e-12)
        assert found.high >= found.value * (1 - 1e-12)
        assert found.variance >= 0


@given(ROWS)
def test_a_share_and_its_interval_stay_between_zero_and_one(rows: list[tuple[float, float]]) -> None:
    values, probability = columns(rows)
    found = share(values > np.median(values), probability)
    assert -1e-9 <= found.low <= found.value + 1e-9
    assert found.value - 1e-9 <= found.high <= 1 + 1e-9


@given(ROWS)
def test_a_share_and_the_rest_mirror_each_other(rows: list[tuple[float, float]]) -> None:
    values, probability = columns(rows)
    chosen = values > np.median(values)
    found, rest = share(chosen, probability), share(~chosen, probability)
    assert found.value + rest.value == pytest.approx(1)
    assert (found.low + rest.high, found.hits) == (pytest.approx(1), rest.hits)


def test_a_buffer_that_holds_everything_knows_everything() -> None:
    values, sure = np.arange(10.0), np.ones(10)
    assert (total(values, sure).low, total(values, sure).high) == (45.0, 45.0)
    assert (mean(values, sure).low, mean(values, sure).high) == (4.5, 4.5)
    found = share(values < 3, sure)
    assert (found.low, found.value, found.high, found.too_few) == (0.3, 0.3, 0.3, False)


def test_rows_of_no_variance_say_nothing_of_those_that_are_not_there() -> None:
    values, probability = np.array([5.0] * 40 + [0.0] * 4), np.array([1.0] * 40 + [0.01] * 4)
    assert total(values, probability).too_few
    assert not total(values, np.ones(44)).too_few


def test_with_equal_probabilities_a_share_has_the_interval_of_wilson() -> None:
    """p → 0, where a priority sample is a plain one; its t of many degrees of freedom is nearly normal."""
    found = share(np.arange(4_000) < 400, np.full(4_000, 1e-9))
    expected = stats.binomtest(400, 4_000).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=2e-3)


def test_rows_that_are_all_alike_still_leave_doubt_about_the_share() -> None:
    found = share(np.zeros(100, dtype=bool), np.full(100, 0.5))
    expected = stats.binomtest(0, 100).proportion_ci(method="wilson")
    assert (found.value, found.low, found.high) == pytest.approx((0, expected.low, expected.high), abs=1e-12)
    assert found.too_few


def test_one_row_of_great_weight_makes_the_interval_wide() -> None:
    even = total(np.ones(100), np.full(100, 0.01))
    uneven = total(np.ones(100), np.append(np.full(99, 0.02), 1 / 5_050))
    assert even.value == pytest.approx(uneven.value)
    assert (uneven.low < even.low / 5, uneven.high > even.high * 5) == (True, True)


@pytest.mark.parametrize(("hits", "too_few"), [(MIN_HITS - 1, True), (MIN_HITS, False)])
def test_too_few_rows_that_count_are_said_to_be(hits: int, too_few: bool) -> None:
    chosen, half = np.arange(1_000) < hits, np.full(1_000, 0.5)
    assert total(chosen.astype(float), half).too_few is too_few
    assert (share(chosen, half).too_few, share(~chosen, half).too_few) == (too_few, too_few)


def test_without_rows_nothing_is_known() -> None:
    empty = np.empty(0)
    assert total(empty, empty).value == 0
    assert isnan(mean(empty, empty).value)
    assert isnan(share(empty.astype(bool), empty).value)
    assert all(found.too_few for found in (total(empty, empty), mean(empty, empty), share(empty.astype(bool), empty)))


@pytest.mark.parametrize(
    ("values", "probability", "message"),
    [
        ([1.0], [0.0], "outside"),
        ([1.0], [1.5], "outside"),
        ([1.0], [float("nan")], "outside"),
        ([-1.0], [0.5], "below 0"),
        ([float("nan")], [0.5], "below 0"),
        ([1.0, 2.0], [0.5], "2 values for 1 probabilities"),
    ],
)
def test_what_cannot_be_estimated_is_refused(values: list[float], probability: list[float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        total(np.array(values), np.array(probability))
