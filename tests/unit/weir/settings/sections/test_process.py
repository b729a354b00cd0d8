"""Watchdog and retries."""

import pytest

from tests.support.settings import refusal


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_WATCHDOG_SECONDS", "1", "at least 5"),
        ("WEIR_RETRY_LIMIT_SECONDS", "0.1", "at least WEIR_RETRY_FIRST_SECONDS, 0.2"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text
