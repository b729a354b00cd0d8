"""How a run ends whose trainer died."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from storage.registry import Active, State, Version
from storage.runs import Run, RunResult
from weir.learning.recovery import MAX_RESUMED, STOPS, ending

AT = datetime(2011, 1, 3, tzinfo=UTC)
LEFT = Run(7, "amount", {"samples": 1, "cut": 1, "sequence": 3}, AT, None, None, [], None)
KEPT = replace(LEFT, checkpoint={"steps": 100})
ACTIVE = Active(3, "v1", "a", "b", frozen=False)


def candidate(state: State) -> Version:
    return Version("v2", "v1", state, AT, "a", "b", {"gate": "auc +.01"}, {})


@pytest.mark.parametrize(
    ("run", "active", "state", "result", "reason"),
    [
        (LEFT, ACTIVE, None, RunResult.ABANDONED, "before its first checkpoint"),
        (replace(KEPT, resumed=MAX_RESUMED), ACTIVE, None, RunResult.FAILED, "so did 3 that resumed it"),
        (KEPT, replace(ACTIVE, sequence=4, version="v0"), None, RunResult.ABANDONED, "rollback"),
        (KEPT, replace(ACTIVE, frozen=True), None, RunResult.ABANDONED, "freeze"),
        (KEPT, ACTIVE, State.REJECTED, RunResult.REJECTED, "auc"),
        (LEFT, replace(ACTIVE, sequence=4, version="v2"), State.ACTIVE, RunResult.PROMOTED, "auc"),
        (LEFT, ACTIVE, State.SHADOW, RunResult.SHADOW, "auc"),
        (LEFT, ACTIVE, State.ROLLED_BACK, RunResult.PROMOTED, "auc"),
    ],
)
def test_it_ends_with_a_reason(run: Run, active: Active, state: State | None, result: RunResult, reason: str) -> None:
    outcome = ending(run, active, None if state is None else candidate(state))
    assert outcome is not None
    assert outcome.result == result
    assert reason in outcome.reason


@pytest.mark.parametrize("state", [None, State.CANDIDATE])
def test_one_with_a_checkpoint_of_which_nothing_is_decided_is_resumed(state: State | None) -> None:
    assert ending(KEPT, ACTIVE, None if state is None else candidate(state)) is None


def test_a_trainer_that_left_it_and_lived_does_not_count_towards_the_limit() -> None:
    left = replace(KEPT, checkpoint={"steps": 100, STOPS: 1}, resumed=MAX_RESUMED)
    assert ending(left, ACTIVE, None) is None
    assert ending(replace(left, resumed=MAX_RESUMED + 1), ACTIVE, None) is not None
