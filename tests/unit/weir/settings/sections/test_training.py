"""When a fine-tune starts."""

import pytest

from tests.support.settings import refusal
from weir import settings


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
