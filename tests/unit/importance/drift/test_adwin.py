"""ADWIN: equal to another implementation on single samples, and not blinded by the size of blocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.arrays import Floats
from importance.drift.adwin import Adwin, AdwinState
from importance.drift.block import Block
from importance.errors import InvalidInput


def alarms(detector: Adwin, values: Floats, samples: int = 1) -> list[int]:
    """The blocks of ``samples`` samples, given by their means, at which a change was reported."""
    state, found = detector.start(), []
    for number, value in enumerate(values.tolist()):
        state, verdict = detector.update(state, Block(samples, np.array([value * samples])), 0)
        if verdict is not None and verdict.alarm:
            found.append(number)
    return found


@pytest.mark.parametrize("delta", [0.1, 0.01, 0.001])
def test_blocks_of_one_sample_raise_the_alarms_of_river(delta: float) -> None:
    from river import drift  # takes seconds

    for seed in range(10):
        random = np.random.default_rng(seed)
        values = np.concatenate([random.random(300), 0.4 + 0.8 * random.random(300), 0.5 * random.random(200)])
        oracle, expected = drift.ADWIN(delta=delta, clock=1, min_window_length=1, grace_period=0), []
        for number, value in enumerate(values.tolist()):
            oracle.update(value)
            if oracle.drift_detected:
                expected.append(number)
        assert len(expected) >= 2
        assert alarms(Adwin(1 / delta), values) == expected


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=200))
def test_the_buckets_hold_the_window(numbers: list[int]) -> None:
    values, detector = np.array(numbers) / 1000, Adwin(1e300)  # so rare that nothing is dropped
    state = detector.start()
    for value in values:
        state, _ = detector.update(state, Block(1, np.array([value])), 0)
    sizes = [2**exponent for exponent, row in enumerate(state.rows) for _ in row]
    assert sum(sizes) == state.samples == len(values)
    assert np.isclose(sum(total for row in state.rows for total, _ in row), values.sum())
    assert all(1 <= len(row) <= 5 for row in state.rows)
    start = 0
    for exponent in reversed(range(len(state.rows))):
        for total, deviations in state.rows[exponent]:
            inside = values[start : start + 2**exponent]
            assert np.isclose(total, inside.sum())
            assert np.isclose(deviations, inside.var() * len(inside), atol=1e-9)
            start += len(inside)


def test_the_size_of_the_state_grows_with_the_logarithm_of_the_window() -> None:
    state, detector = AdwinState(), Adwin(1e300)
    for _ in range(10_000):
        state, _ = detector.update(state, Block(1, np.zeros(1)), 0)
    assert sum(map(len, state.rows)) <= 5 * 12  # 5 · (2¹² − 1) > 10,000


def test_a_doubled_rate_of_clicks_is_found_in_blocks_of_many_samples() -> None:
    random = np.random.default_rng(1)
    rates = np.concatenate([random.binomial(200, 0.05, 200), random.binomial(200, 0.10, 100)]) / 200
    [alarm] = alarms(Adwin(10_000), rates, samples=200)
    assert 200 < alarm < 230


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_false_alarms_are_not_more_frequent_than_asked(spread: float) -> None:
    """Rates of blocks of 100 samples, alike within a block where they spread."""
    random, expected_run, blocks = np.random.default_rng(2), 50, 10_000
    clicks = random.binomial(100, np.clip(0.05 + spread * random.standard_normal(blocks), 0, 1))
    assert len(alarms(Adwin(expected_run), clicks / 100, samples=100)) <= blocks / expected_run


def test_small_blocks_join_until_they_are_an_observation() -> None:
    values = np.array([0.25, 0.75, 1.0, 0.0])
    joined, apart = Adwin(100, min_samples=4), Adwin(100)
    state, verdicts = joined.start(), []
    for value in values:
        state, verdict = joined.update(state, Block(2, np.array([2 * value])), 0)
        verdicts.append(verdict)
    other, expected = apart.start(), None
    for pair in values.reshape(2, 2):
        other, expected = apart.update(other, Block(4, np.array([2 * pair.sum()])), 0)
    assert state == other
    assert verdicts == [None, None, None, expected]


@pytest.mark.parametrize("run", [1.0, float("nan")])
def test_a_run_time_without_a_meaning_is_refused(run: float) -> None:
    with pytest.raises(InvalidInput, match="expected_run_blocks"):
        Adwin(run)
