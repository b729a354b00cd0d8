"""The values that the other packages get."""

from typing import Any

import pytest

from weir import settings
from weir.settings import Settings, training, values


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


def test_the_settings_of_triggers_are_those_that_make_the_policy() -> None:
    read: set[str] = set()

    class Recorded(Settings):
        def __getattribute__(self, name: str) -> Any:
            if name in Settings.model_fields:
                read.add(name)
            return super().__getattribute__(name)

    found = Recorded(**dict(settings.read()) | {"train_after_samples": 5})  # the default depends on the model
    read.clear()
    training.trigger(found, after_failure=True)
    assert read == set(training.OF_TRIGGERS)


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


def test_seconds_of_the_settings_are_milliseconds_of_the_join() -> None:
    policy = values.join(Settings(attribution_window_seconds=1.5, deduplication_seconds=0.0014, late="count"))
    assert (policy.window_ms, policy.deduplication_ms, policy.late_letters) == (1_500, 1, False)


def test_the_strata_divide_the_whole_capacity() -> None:
    found = Settings(
        buffer_capacity=1_000, holdout_capacity_share=0.1, uniform_capacity_share=0.2, positive_capacity_share=0.3,
        segment_attribute="country", segment_shares="France=0.15,Spain=0",
    )  # fmt: skip
    assert values.capacities(found) == {
        "holdout": 100, "uniform": 200, "positive": 300, "negative": 250, "country=France": 150,
    }  # fmt: skip


@pytest.mark.parametrize(("seconds", "half_life"), [(0.0, None), (60.0, 60.0)])
def test_a_half_life_of_0_is_no_decay(seconds: float, half_life: float | None) -> None:
    found = Settings(half_life_seconds=seconds)
    assert values.half_life_seconds(found) == values.admission(found).half_life_seconds == half_life


@pytest.mark.parametrize(
    ("given", "samples"),
    [({}, 1_500), ({"model": "minilm"}, 5_000), ({"model": "minilm", "train_after_samples": 7}, 7)],
)
def test_a_larger_base_model_trains_less_often_unless_a_count_is_set(given: dict[str, Any], samples: int) -> None:
    assert values.train_after_samples(Settings(**given)) == samples


def test_a_guard_multiplies_the_whole_mixture() -> None:
    assert str(values.mixture(Settings(estimator="rho+entropy"))) == "rho+entropy"
    assert str(values.mixture(Settings(estimator="rho+entropy", noise_guard="holdout"))) == "p_holdout*(rho+entropy)"


def test_a_top_fraction_is_part_of_the_scoring_configuration() -> None:
    found = values.scoring_configs(Settings(selection="top_fraction", top_fraction=0.05))
    assert "top 0.05" in found["positive"]
    assert "top" not in found["uniform"]
