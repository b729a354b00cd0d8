"""The values that the other packages get."""

import pytest

from weir import settings
from weir.settings import training, values


def test_what_passes_can_be_handed_to_every_room(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WEIR_BUFFER_CAPACITY": "20",
        "WEIR_UNIFORM_SHARE": "0",
        "WEIR_ATTRIBUTION_WINDOW_SECONDS": "0.001",
        "WEIR_SALT": "é" * 32,
    }.items():
        monkeypatch.setenv(name, value)
    found = settings.read()
    assert values.join(found).window_ms == values.join(found).deduplication_ms == 1
    assert values.admission(found).salt == "é" * 32
    assert values.capacities(found)["holdout"] == training.gate(found).min_samples == 4


def test_what_makes_the_keys_of_each_stratum_follows_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_SEGMENT_ATTRIBUTE", "country")
    monkeypatch.setenv("WEIR_SEGMENT_SHARES", "France=0.1,Spain=0")
    monkeypatch.setenv("WEIR_HALF_LIFE_SECONDS", "3600")
    by_importance = "last_layer_norm, proportional, floor 0.25, half-life 3600 s"
    assert values.scoring_configs(settings.read()) == {
        "holdout": "uniform, half-life 3600 s", "uniform": "uniform, half-life 3600 s",
        "positive": by_importance, "negative": by_importance, "country=France": by_importance,
    }  # fmt: skip
    before = values.scoring_configs(settings.read())
    for variable, value in {
        "ESTIMATOR": "entropy", "NOISE_GUARD": "holdout", "SELECTION": "top_fraction", "SELECTION_FLOOR": "0.5",
        "HALF_LIFE_SECONDS": "0",
    }.items():  # fmt: skip
        with monkeypatch.context() as changed:
            changed.setenv(f"WEIR_{variable}", value)
            assert values.scoring_configs(settings.read())["positive"] != before["positive"], variable
    for variable in ("BUFFER_CAPACITY", "HOLDOUT_SHARE", "SCORE_BATCH"):
        with monkeypatch.context() as changed:
            changed.setenv(f"WEIR_{variable}", "0.3" if variable == "HOLDOUT_SHARE" else "500")
            assert values.scoring_configs(settings.read()) == before, variable
