"""The address of the API."""

import pytest

from tests.support.settings import refusal


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_API_PORT", "65536", "at most 65535"),
        ("WEIR_API_HOST", "0.0.0.0", "loopback"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text
