"""The bounds of the gate."""

import pytest

from tests.support.settings import refusal


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_GATE_LEAST_SAMPLES", "3", "at least 4"),
        ("WEIR_GATE_ALPHA", "0.5", "less than 0.5"),
        ("WEIR_GATE_MARGIN", "0.6", "at most 0.5"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"WEIR_GATE_LEAST_SAMPLES": "201", "WEIR_BUFFER_CAPACITY": "1000"},
            "WEIR_GATE_LEAST_SAMPLES is 201; it must be at most 200, the capacity of the holdout "
            "(WEIR_HOLDOUT_CAPACITY_SHARE of WEIR_BUFFER_CAPACITY), or no candidate would ever be promoted",
        ),
        (
            {"WEIR_HOLDOUT_CAPACITY_SHARE": "0"},
            "WEIR_GATE_LEAST_SAMPLES is 4; it must be at most 0, the capacity of the holdout "
            "(WEIR_HOLDOUT_CAPACITY_SHARE of WEIR_BUFFER_CAPACITY), or no candidate would ever be promoted",
        ),
    ],
)
def test_a_holdout_too_small_for_the_gate_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], line: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert refusal() == line
