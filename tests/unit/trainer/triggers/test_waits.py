"""What the next run waits for."""

from dataclasses import replace

import pytest

from tests.unit.trainer.triggers.cases import QUIET
from trainer.triggers import TriggerPolicy, Waits, training_due, waits

POLICY = TriggerPolicy(after_samples=1_000, after_seconds=600, cooldown_seconds=10, min_samples=100)


def test_all_that_the_next_run_waits_for_is_reported() -> None:
    state = replace(QUIET, samples=5_250, trainable=40, asked=True, frozen=True)
    assert waits(state, POLICY, now=103.0) == Waits(
        frozen=True,
        in_shadow=False,
        asked=True,
        fresh=250,
        after_samples=1_000,
        trainable=40,
        least_samples=100,
        cooldown_seconds=7.0,
        after_seconds=587.0,
    )


def test_there_is_no_time_to_wait_for_before_the_first_run_or_while_nothing_is_new() -> None:
    assert waits(QUIET, POLICY, now=103.0).after_seconds is None
    first = waits(replace(QUIET, samples=5_250, last_started=None, last_ended=None), POLICY, now=103.0)
    assert (first.after_seconds, first.cooldown_seconds) == (None, 0.0)


@pytest.mark.parametrize("now", [105.0, 110.0, 690.0])
def test_a_run_is_due_exactly_when_nothing_is_left_to_wait_for(now: float) -> None:
    state = replace(QUIET, samples=5_001)
    found = waits(state, POLICY, now)
    nothing_left = found.cooldown_seconds == 0 and found.after_seconds == 0
    assert (training_due(state, POLICY, now) is not None) is nothing_left
