"""Whether selection helps, and when it falls back and returns."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.control_arm import MIN_RESULTS, WINDOW, Compared, advantage, fallen_back
from importance.errors import InvalidInput

RESULTS = st.lists(st.builds(Compared, st.floats(-0.1, 0.1), st.floats(1e-4, 0.05)), max_size=30)


@given(RESULTS)
def test_the_state_is_a_function_of_the_results_and_changes_only_with_enough_of_them(results: list[Compared]) -> None:
    states = [fallen_back(results[:end]) for end in range(len(results) + 1)]
    changes = [end for end in range(1, len(states)) if states[end] != states[end - 1]]
    assert all(later - earlier >= MIN_RESULTS for earlier, later in zip([0, *changes], changes, strict=False))


@given(RESULTS.filter(bool))
def test_the_pooled_difference_lies_among_the_latest_and_no_interval_is_narrower_than_the_holdout_allows(
    results: list[Compared],
) -> None:
    pooled, latest = advantage(results), results[-WINDOW:]
    assert pooled is not None
    assert min(x.difference for x in latest) - 1e-9 <= pooled.estimate <= max(x.difference for x in latest) + 1e-9
    assert pooled.high - pooled.estimate >= 1.95 * min(x.standard_error for x in latest)


def test_selection_that_makes_no_difference_falls_back_rarely() -> None:
    random, fell = np.random.default_rng(1), 0
    for _ in range(300):
        shared = random.normal(0, 0.003)  # the holdout's error, the same in every run
        fell += fallen_back([Compared(shared + random.normal(0, 0.001), 0.003) for _ in range(10)])
    assert fell <= 18  # 2.5 % of 300 are 7.5; 19 or more have a chance of 1 in 1,000


def test_nothing_is_pooled_without_results_and_no_result_without_an_error() -> None:
    assert advantage([]) is None
    with pytest.raises(InvalidInput, match="cannot be pooled"):
        Compared(float("nan"), 0.1)
    with pytest.raises(InvalidInput, match="cannot be pooled"):
        Compared(0.1, 0.0)
