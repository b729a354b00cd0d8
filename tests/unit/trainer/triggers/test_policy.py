"""Any trigger starts a run, under the conditions that hold for all of them."""

from dataclasses import replace

import pytest

from importance.errors import InvalidInput
from tests.unit.trainer.triggers.cases import QUIET
from trainer.triggers import TriggerPolicy, held_back, training_due

POLICY = TriggerPolicy(after_samples=1_000, after_seconds=600, cooldown_seconds=10, min_samples=100)


def trigger(now: float = 200.0, **changes: object) -> str | None:
    due = training_due(replace(QUIET, **changes), POLICY, now)
    return due and due.trigger


def test_without_new_samples_or_a_request_no_run_starts() -> None:
    assert trigger() is None
    assert trigger(now=1e9) is None


@pytest.mark.parametrize(("samples", "expected"), [(5_999, None), (6_000, "amount"), (9_000, "amount")])
def test_enough_new_samples_start_a_training(samples: int, expected: str | None) -> None:
    assert trigger(samples=samples) == expected


@pytest.mark.parametrize(("now", "expected"), [(689.9, None), (690.0, "time")])
def test_a_few_new_samples_start_one_when_enough_time_has_gone(now: float, expected: str | None) -> None:
    assert trigger(now=now, samples=5_001) == expected


def test_an_operator_starts_one_at_once_and_comes_first() -> None:
    assert trigger(asked=True) == "operator"
    assert trigger(asked=True, samples=9_000) == "operator"


@pytest.mark.parametrize(("now", "expected"), [(109.9, None), (110.0, "operator")])
def test_the_cool_down_holds_for_every_trigger(now: float, expected: str | None) -> None:
    assert trigger(now=now, asked=True) == expected


def test_frozen_training_never_starts() -> None:
    assert trigger(asked=True, samples=9_000, frozen=True) is None


@pytest.mark.parametrize(("trainable", "expected"), [(99, None), (100, "operator")])
def test_a_nearly_empty_buffer_starts_nothing(trainable: int, expected: str | None) -> None:
    assert trigger(asked=True, trainable=trainable) == expected


def test_the_first_training_waits_for_its_amount_not_for_time() -> None:
    never = {"last_started": None, "last_ended": None, "samples_at_last": 0}
    assert trigger(**never, samples=999) is None
    assert trigger(**never, samples=1_000) == "amount"


def test_a_decision_carries_its_inputs() -> None:
    due = training_due(replace(QUIET, samples=6_200), POLICY, now=200.0)
    assert due is not None
    assert due.inputs["samples"] == 6_200
    assert due.inputs["fresh"] == 1_200
    assert due.inputs["waited_seconds"] == 110.0
    assert due.inputs["policy"] == {
        "after_samples": 1_000, "after_seconds": 600, "cooldown_seconds": 10, "least_samples": 100,
        "on_drift": False, "after_mass": None, "drop": None, "cost_rate": None,
    }  # fmt: skip
    assert due.inputs["mass"] == 5_200.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"after_samples": 0},
        {"after_seconds": 0.0},
        {"after_seconds": float("nan")},
        {"cooldown_seconds": -1.0},
        {"cooldown_seconds": float("nan")},
        {"after_mass": 0.0},
        {"after_mass": float("nan")},
        {"drop": -0.01},
        {"drop": 1.0},
        {"cost_rate": 0.0},
        {"cost_rate": float("nan")},
    ],
)
def test_a_policy_that_always_or_never_fires_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput):
        replace(POLICY, **wrong)


@pytest.mark.parametrize(
    ("changes", "now", "expected"),
    [
        ({"frozen": True, "in_shadow": True}, 105.0, "frozen"),
        ({"in_shadow": True, "asked": True, "trainable": 0}, 105.0, "shadow"),
        ({"trainable": 99}, 105.0, "few samples"),
        ({}, 109.9, "cool-down"),
        ({}, 110.0, None),
    ],
)
def test_what_holds_every_trigger_back_has_a_name(changes: dict[str, object], now: float, expected: str | None) -> None:
    assert held_back(replace(QUIET, **changes), POLICY, now) == expected
