"""What holds for every trigger."""

from dataclasses import FrozenInstanceError, fields, replace

import pytest

from tests.unit.trainer.triggers.cases import CASES, QUIET, Case
from trainer.triggers import TriggerPolicy

every_trigger = pytest.mark.parametrize("case", CASES, ids=lambda case: case.trigger.name)


def test_every_trigger_of_the_policy_is_tested_here_and_has_a_name_of_its_own() -> None:
    policy = TriggerPolicy(
        after_samples=1, after_seconds=1, cooldown_seconds=0, min_samples=0, on_drift=True, after_mass=1, drop=0.1,
        cost_rate=1,
    )  # fmt: skip
    names = [trigger.name for trigger in policy.triggers]
    assert sorted(names) == sorted({case.trigger.name for case in CASES})
    assert all(name.isidentifier() and name.islower() for name in names)


@every_trigger
def test_it_fires_in_its_state_and_goes_on_until_a_run_starts(case: Case) -> None:
    assert case.trigger.fires(case.firing, case.now)
    assert case.trigger.fires(case.firing, case.now + 1e9)
    started = replace(
        case.firing, samples_at_last=case.firing.samples, mass_at_last=case.firing.mass, last_started=case.now,
        asked=False,
    )  # fmt: skip
    assert not case.trigger.fires(started, case.now)


@every_trigger
@pytest.mark.parametrize("now", [100.0, 1e9])
def test_it_is_silent_while_nothing_is_new_and_no_request_waits(case: Case, now: float) -> None:
    assert not case.trigger.fires(QUIET, now)


@every_trigger
def test_it_leaves_what_holds_for_all_triggers_to_the_policy(case: Case) -> None:
    common = replace(case.firing, frozen=True, trainable=0, last_ended=case.now)
    assert case.trigger.fires(common, case.now)


@every_trigger
def test_it_is_pure_and_its_value_is_frozen(case: Case) -> None:
    answers = {case.trigger.fires(replace(case.firing), case.now) for _ in range(3)}
    assert answers == {True}
    assert replace(case.trigger) == case.trigger  # type: ignore[type-var]
    for field in fields(case.trigger):  # type: ignore[arg-type]
        with pytest.raises(FrozenInstanceError):
            setattr(case.trigger, field.name, 1)


@every_trigger
def test_before_the_first_run_it_answers_and_does_not_fail(case: Case) -> None:
    first = replace(case.firing, samples_at_last=0, last_started=None, last_ended=None)
    assert case.trigger.fires(first, case.now) in (True, False)
