"""The trigger by an alarm of drift."""

from dataclasses import replace

import pytest

from tests.unit.trainer.triggers.cases import QUIET
from trainer.triggers import Drift, TriggerPolicy, training_due

FEW = replace(QUIET, samples=5_001, last_learned=90.0)  # one is new; the last run started at 90


@pytest.mark.parametrize(("alarmed", "fires"), [(None, False), (89.0, False), (90.0, False), (90.5, True)])
def test_it_fires_after_an_alarm_that_no_run_has_followed(alarmed: float | None, fires: bool) -> None:
    assert Drift().fires(replace(FEW, alarmed=alarmed), now=1e9) is fires


def test_a_run_that_failed_leaves_the_alarm() -> None:
    failed = replace(FEW, alarmed=95.0, last_started=150.0, last_ended=160.0)
    assert Drift().fires(failed, now=200.0)
    assert not Drift().fires(replace(failed, last_learned=150.0), now=200.0)


def test_it_never_fires_before_the_first_run_or_while_nothing_is_new() -> None:
    for state in (replace(FEW, last_learned=None), replace(QUIET, last_learned=90.0)):
        assert not Drift().fires(replace(state, alarmed=1e6), now=1e9)


def test_a_policy_asks_it_only_where_that_is_set_and_records_the_alarm() -> None:
    state = replace(FEW, alarmed=95.0)
    policy = TriggerPolicy(after_samples=1_000, after_seconds=1e9, cooldown_seconds=5, min_samples=10)
    assert training_due(state, policy, now=200.0) is None
    due = training_due(state, replace(policy, on_drift=True), now=200.0)
    assert due is not None
    assert (due.trigger, due.inputs["alarmed"]) == ("drift", 95.0)
