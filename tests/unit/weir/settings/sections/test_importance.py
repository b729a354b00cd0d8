"""The estimator and the selection."""

import pytest

from tests.support.settings import refusal
from weir import settings


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_ESTIMATOR", "guess", "unknown estimator 'guess'; choose one of uniform, entropy"),
        ("WEIR_ESTIMATOR", "rho+", "has an empty part"),
        ("WEIR_NOISE_GUARD", "yes", "'none' or 'holdout'"),
        ("WEIR_SELECTION", "submodular", "'proportional' or 'top_fraction'"),
        ("WEIR_TOP_FRACTION", "0", "more than 0"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text


def test_an_estimator_may_be_a_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_ESTIMATOR", " 0.5*entropy + 0.5 * novelty")
    assert settings.read().estimator == "0.5*entropy+0.5*novelty"
