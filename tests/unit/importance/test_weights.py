"""Training weights."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.weights import LARGEST, effective_sample_size, training_weights

PROBABILITIES = st.lists(st.floats(1e-12, 1.0), min_size=1, max_size=200).map(np.array)


@given(PROBABILITIES)
def test_weights_are_inverse_probabilities_up_to_the_clip(probability: np.ndarray) -> None:
    weights = training_weights(probability)
    expected = (1 / probability) / np.mean(1 / probability)
    np.testing.assert_allclose(weights.values, np.minimum(expected, weights.clip))
    assert 1 <= weights.clip <= LARGEST


@given(PROBABILITIES)
def test_what_the_clip_takes_away_is_reported(probability: np.ndarray) -> None:
    weights = training_weights(probability)
    assert np.isclose(weights.values.mean() + weights.clipped_mass, 1)
    assert -1e-9 <= weights.clipped_mass < 1


@given(PROBABILITIES)
def test_the_effective_sample_size_is_at_most_the_sample_size(probability: np.ndarray) -> None:
    assert 0 < training_weights(probability).effective_sample_size <= len(probability) * (1 + 1e-9)


def test_equal_probabilities_weigh_one_and_nothing_is_clipped() -> None:
    weights = training_weights(np.full(7, 0.2))
    np.testing.assert_allclose(weights.values, 1)
    assert abs(weights.clipped_mass) < 1e-12
    assert np.isclose(weights.effective_sample_size, 7)


def test_a_row_one_half_life_older_weighs_half() -> None:
    time_ms = np.array([1_700_000_000_000, 1_700_000_000_000 - 3_600_000])
    weights = training_weights(np.full(2, 0.5), time_ms, half_life_seconds=3_600)
    assert np.isclose(weights.values[1] / weights.values[0], 0.5 / weights.clip * (4 / 3))  # the newer is clipped
    assert np.isclose(weights.values[1], 2 / 3)


@pytest.mark.parametrize(("heavy", "concentrated"), [(0.5, False), (1e-3, True)])
def test_few_rows_that_count_for_most_are_said_to(heavy: float, concentrated: bool) -> None:
    """3 of 100 rows weigh 1/heavy; the clip is their own weight, as they are more than one in a hundred."""
    weights = training_weights(np.where(np.arange(100) < 3, heavy, 1.0))
    assert weights.is_concentrated is concentrated


def test_ten_years_of_decay_stay_finite() -> None:
    time_ms = np.linspace(0, 10 * 365 * 86_400_000, 1_000).astype(np.int64)
    weights = training_weights(np.ones(1_000), time_ms, half_life_seconds=3_600)
    assert np.isfinite(weights.values).all()
    assert weights.values.max() >= 1


def test_without_decay_time_is_not_asked_for_and_with_it_it_is() -> None:
    with pytest.raises(InvalidInput, match="give time_ms"):
        training_weights(np.ones(2), half_life_seconds=60.0)


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.1, float("nan")])
def test_a_row_that_cannot_be_in_the_buffer_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInput, match="outside"):
        training_weights(np.array([0.5, wrong]))


def test_an_empty_buffer_has_no_weights() -> None:
    assert training_weights(np.empty(0)).effective_sample_size == 0 == effective_sample_size(np.empty(0))
    assert len(training_weights(np.empty(0)).values) == 0
