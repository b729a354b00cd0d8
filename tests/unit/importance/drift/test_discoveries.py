"""Benjamini–Hochberg: equal to scipy's, and in order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from importance.drift.discoveries import discoveries
from importance.errors import InvalidInput


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.sampled_from([0.01, 0.051, 0.2]))
def test_what_is_named_is_what_scipy_finds(numbers: list[int], rate: float) -> None:
    p_values = {f"t{index}": number / 1000 for index, number in enumerate(numbers)}
    adjusted = false_discovery_control(list(p_values.values()))
    named = set(discoveries(p_values, rate))
    for name, value in zip(p_values, adjusted, strict=True):
        assert (name in named) == (value <= rate) or abs(value - rate) < 1e-9


def test_what_is_named_comes_in_the_order_of_its_p_value() -> None:
    assert discoveries({"b": 0.02, "c": 0.01, "a": 0.02}, rate=0.05) == ["c", "a", "b"]


def test_nothing_is_named_of_nothing() -> None:
    assert discoveries({}, rate=0.05) == []


@pytest.mark.parametrize(("p_value", "rate"), [(float("nan"), 0.05), (1.5, 0.05), (-0.1, 0.05), (0.5, 0.0), (0.5, 1.0)])
def test_numbers_without_a_meaning_are_refused(p_value: float, rate: float) -> None:
    with pytest.raises(InvalidInput, match="must"):
        discoveries({"a": p_value}, rate)
