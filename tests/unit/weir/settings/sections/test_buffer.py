"""The capacity of the buffer and its shares."""

import pytest

from tests.support.settings import refusal


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_BUFFER_CAPACITY", "many", "a whole number"),
        ("WEIR_BUFFER_CAPACITY", "1.5", "a whole number"),
        ("WEIR_HALF_LIFE_SECONDS", "59", "0 (no decay) or at least 60"),
        ("WEIR_HOLDOUT_CAPACITY_SHARE", "1.1", "at most 1"),
        ("WEIR_HOLDOUT_SHARE", "1", "less than 1"),
        ("WEIR_HOLDOUT_SHARE", "0", "more than 0"),
        ("WEIR_UNIFORM_SHARE", "1", "less than 1"),
        ("WEIR_BUFFER_CAPACITY", "3", "at least 4"),
        ("WEIR_POSITIVE_CAPACITY_SHARE", "0.6", "add up to 1; it must be less than 1"),
        ("WEIR_POSITIVE_FROM", "none", "'click'"),
        ("WEIR_SALT", "é" * 33, "has 66 bytes; it must have at most 64"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text or "WEIR_*_CAPACITY_SHARE" in text


@pytest.mark.parametrize(
    ("attribute", "shares", "said"),
    [
        ("country", "", "need the name of an attribute and at least one value"),
        ("", "France=0.1", "need the name of an attribute"),
        ("country", "France", "'France' is not value=share: write e.g. France=0.05,Spain=0"),
        ("country", "France=much", "'France=much' is not value=share"),
        ("country", "France=0.1,France=0.2", "named twice"),
        ("country", "France=nan", "outside 0 to 1"),
        ("country", "France=0.2,Spain=0.2", "add up to 1.1; it must be less than 1: the rest is for negative"),
    ],
)
def test_segments_that_are_none_are_refused(
    monkeypatch: pytest.MonkeyPatch, attribute: str, shares: str, said: str
) -> None:
    monkeypatch.setenv("WEIR_SEGMENT_ATTRIBUTE", attribute)
    monkeypatch.setenv("WEIR_SEGMENT_SHARES", shares)
    text = refusal()
    assert said in text
    assert "WEIR_SEGMENT_SHARES" in text
