"""The base model and its device."""

import pytest

from tests.support.settings import refusal


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_SCORE_PRECISION", "float16", "'float32' or 'bfloat16'"),
        ("WEIR_DEVICE", "gpu", "auto, cpu, cuda, cuda:N or mps"),
        ("WEIR_SEED", "-1", "at least 0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text
