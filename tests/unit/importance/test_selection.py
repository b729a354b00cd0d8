"""From a score to a weight."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.selection import proportional

SCORES = st.lists(st.floats(0, 1e38), min_size=1, max_size=30)


@given(SCORES, st.floats(1e-38, 1e38), st.floats(0.01, 1.0))
def test_a_weight_is_finite_at_least_the_floor_and_grows_with_the_score(
    scores: list[float], mean: float, floor: float
) -> None:
    weights = proportional(np.sort(scores), mean, floor)
    assert np.isfinite(weights).all()
    assert (weights >= floor).all()
    assert (np.diff(weights) >= 0).all()


@given(st.lists(st.floats(1e-6, 1e6), min_size=2, max_size=30))
def test_weights_average_one_when_the_mean_is_that_of_the_scores(scores: list[float]) -> None:
    assert np.isclose(proportional(np.array(scores), float(np.mean(scores))).mean(), 1)


@given(SCORES, st.floats(1e-6, 1e6))
def test_a_weight_does_not_depend_on_its_batch(scores: list[float], mean: float) -> None:
    together = proportional(np.array(scores), mean).tolist()
    assert together == [proportional(np.array([score]), mean).item() for score in scores]


def test_where_the_mean_score_is_zero_every_weight_is_one() -> None:
    assert proportional(np.array([0.0, 5.0]), 0.0).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("floor", [0.0, -0.1, 1.1, float("nan")])
def test_a_floor_that_leaves_no_chance_is_refused(floor: float) -> None:
    with pytest.raises(InvalidInput, match="must be above 0 and at most 1"):
        proportional(np.ones(1), 1.0, floor)
