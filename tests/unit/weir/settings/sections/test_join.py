"""The times and bounds of the join."""

import pytest

from tests.support.settings import refusal
from weir import settings


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_ATTRIBUTION_WINDOW_SECONDS", "0.0004", "at least 0.001"),
        ("WEIR_DEDUPLICATION_SECONDS", "0", "at least 0.001"),
        ("WEIR_IDLE_SECONDS", "nan", "a finite number"),
        ("WEIR_MAX_REMEMBERED", "10", "at least WEIR_MAX_WAITING, 100000"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text


def test_ids_are_remembered_for_the_window_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_ATTRIBUTION_WINDOW_SECONDS", "60")
    assert settings.read().deduplication_seconds == 60
    monkeypatch.setenv("WEIR_DEDUPLICATION_SECONDS", "90")
    assert settings.read().deduplication_seconds == 90
