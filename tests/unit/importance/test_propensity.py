"""Propensities in training weights."""

from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.propensity import Exposure, exposure
from importance.sample import Sample
from importance.weights import training_weights

Row = tuple[float | None, int | None, float]
ROWS = st.lists(
    st.tuples(st.none() | st.floats(1e-9, 1.0), st.none() | st.integers(1, 4), st.floats(1e-6, 1.0)),
    min_size=1,
    max_size=100,
)
CLIPS = st.floats(1.0, 1e6)


def sample(propensity: float | None, position: int | None) -> Sample:
    return Sample("id", "ann", "search", "q", "item", "text", 0, 0, 0, position=position, propensity=propensity)


def shown(rows: Sequence[Row], clip: float) -> tuple[Exposure, np.ndarray]:
    """How the rows were shown, and what they count for otherwise."""
    samples = [sample(propensity, position) for propensity, position, _ in rows]
    return exposure(samples, clip), np.array([mass for *_, mass in rows])


@given(ROWS, CLIPS)
def test_each_position_keeps_its_mass_and_so_does_what_has_no_propensity(rows: list[Row], clip: float) -> None:
    found, mass = shown(rows, clip)
    weighted = mass * found.weights(mass)
    known = ~np.isnan(found.propensity)
    np.testing.assert_array_equal(weighted[~known], mass[~known])
    for position in np.unique(found.position[known]):
        of_place = known & (found.position == position)
        np.testing.assert_allclose(weighted[of_place].sum(), mass[of_place].sum())


@given(ROWS, CLIPS)
def test_within_a_position_weights_are_as_the_clipped_inverse_propensities(rows: list[Row], clip: float) -> None:
    found, mass = shown(rows, clip)
    weights, known = found.weights(mass), ~np.isnan(found.propensity)
    for position in np.unique(found.position[known]):
        of_place = known & (found.position == position)
        inverse = np.minimum(1 / found.propensity[of_place], clip)
        np.testing.assert_allclose(weights[of_place] / weights[of_place][0], inverse / inverse[0])


@given(ROWS, CLIPS, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_no_weight(rows: list[Row], clip: float, random: Random) -> None:
    order = np.array(random.sample(range(len(rows)), len(rows)))
    found, mass = shown(rows, clip)
    mixed, mixed_mass = shown([rows[number] for number in order], clip)
    np.testing.assert_allclose(mixed.weights(mixed_mass), found.weights(mass)[order])


@given(ROWS)
def test_a_clip_of_one_changes_no_training_weight(rows: list[Row]) -> None:
    probability = np.array([mass for *_, mass in rows])
    found, _ = shown(rows, clip=1.0)
    with_it, without = training_weights(probability, exposure=found), training_weights(probability)
    np.testing.assert_array_equal(with_it.values, without.values)


def test_training_weights_undo_draw_and_propensity_together() -> None:
    """Shown half as often, twice the weight: 2 and 4 over their mean of 3; the draw's 1/p beside it."""
    found = exposure([sample(0.5, 1), sample(0.25, 1)], clip=10.0)
    np.testing.assert_allclose(found.weights(np.ones(2)), [2 / 3, 4 / 3])
    equal = training_weights(np.array([0.4, 0.8]), exposure=found)  # 2.5 · 2 = 1.25 · 4
    np.testing.assert_allclose(equal.values, 1)


def test_the_mean_over_a_skewed_log_becomes_that_of_equal_exposure() -> None:
    """Item 0 is shown nine times as often as item 1 and clicked at 2 %, item 1 at 10 %; shown alike that is 6 %."""
    rng = np.random.default_rng(0)
    item = (rng.random(200_000) < 0.1).astype(int)
    clicked = rng.random(200_000) < np.array([0.02, 0.10])[item]
    log = Exposure(np.array([0.9, 0.1])[item], np.ones(200_000, np.int64), clip=100.0)
    values = training_weights(np.ones(200_000), exposure=log).values
    assert abs(clicked.mean() - 0.028) < 0.002
    assert abs(np.average(clicked, weights=values) - 0.06) < 0.004


def test_rows_that_have_faded_to_nothing_leave_the_weights_finite() -> None:
    time_ms = np.array([0, 10 * 365 * 86_400_000])  # ten years at a half-life of an hour
    found = exposure([sample(0.5, 1), sample(0.5, 2)], clip=10.0)
    weights = training_weights(np.ones(2), time_ms, half_life_seconds=3_600, exposure=found)
    assert np.isfinite(weights.values).all()


@pytest.mark.parametrize("clip", [0.99, 0.0, float("nan")])
def test_a_clip_below_one_is_refused(clip: float) -> None:
    with pytest.raises(InvalidInput, match=r"propensity clip is .*; it must be at least 1: set WEIR_PROPENSITY_CLIP"):
        exposure([sample(0.5, 1)], clip)


@pytest.mark.parametrize("wrong", [0.0, -0.1, 1.1, float("inf")])
def test_a_propensity_that_is_no_probability_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInput, match="a propensity lies outside"):
        exposure([sample(wrong, 1)], clip=10.0)


def test_no_rows_have_no_weights() -> None:
    assert len(training_weights(np.empty(0), exposure=exposure([], clip=10.0)).values) == 0
