"""When a fine-tune starts."""

from typing import get_args

import pytest

from tests.support.settings import refusal
from trainer.tuning.methods import METHODS, LoRA
from weir import settings
from weir.settings import Settings, training


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"WEIR_TRAIN_LEAST_SAMPLES": "801", "WEIR_BUFFER_CAPACITY": "1000"},
            "WEIR_TRAIN_LEAST_SAMPLES is 801; it must be at most 800, the capacity for samples that may train "
            "(WEIR_BUFFER_CAPACITY less WEIR_HOLDOUT_CAPACITY_SHARE of it), or no fine-tune would ever start",
        ),
    ],
)
def test_a_buffer_too_small_to_train_from_is_refused(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], line: str
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert refusal() == line


def test_the_methods_of_fine_tuning_are_those_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    assert get_args(Settings.model_fields["train_method"].annotation) == tuple(METHODS)
    monkeypatch.setenv("WEIR_TRAIN_METHOD", "lora")
    monkeypatch.setenv("WEIR_TRAIN_RANK", "2")
    assert training.tuning(settings.read()).optimisation.method == LoRA(2)
    monkeypatch.setenv("WEIR_TRAIN_METHOD", "prompt")
    assert refusal() == (
        "WEIR_TRAIN_METHOD is 'prompt'; it must be one of 'full', 'head_only', 'lora', 'adalora' or 'adapters': what "
        "a fine-tune trains: all weights, the head, or the head and few new weights"
    )


def test_a_small_buffer_asks_for_fewer_samples_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def least(capacity: str) -> tuple[int, int]:
        monkeypatch.setenv("WEIR_BUFFER_CAPACITY", capacity)
        found = settings.read()
        return found.train_least_samples, found.gate_least_samples

    assert least("10000") == (200, 200)
    assert least("400") == (160, 40)
    assert least("20") == (8, 4)
    monkeypatch.setenv("WEIR_GATE_LEAST_SAMPLES", "80")
    assert least("400") == (160, 80)
    monkeypatch.setenv("WEIR_BUFFER_CAPACITY", "0")
    assert refusal().startswith("WEIR_BUFFER_CAPACITY is '0'; it must be at least 4: ")
