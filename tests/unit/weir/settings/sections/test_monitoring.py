"""The metrics endpoint and the log."""

import pytest

from tests.support.settings import refusal


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_METRICS_PORT", "-1", "at least 0"),
        ("WEIR_LOG_LEVEL", "loud", "'debug', 'info'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text
