"""When the replay waits for the learner, and when there is nothing left to wait for."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from storage.buffer_reader import BufferStats
from storage.progress import Position
from storage.runs import Run
from weir.demo.state import State
from weir.demo.throttle import TRAINING_TIMEOUT_SECONDS, Pacing
from weir.status.snapshot import Snapshot

DUE = 100


def run(samples: int, result: str | None) -> Run:
    """A training that began at so many samples; it goes on while its result is None."""
    moment = datetime(2011, 1, 1, tzinfo=UTC)
    return Run(1, "amount", {"samples": samples}, moment, moment if result else None, result, (), None)


def state(samples: int, runs: Sequence[Run] = (), undecided: int = 0, unread: int = 0) -> State:
    """So many samples were decided; runs are given newest first."""
    position = Position(0, 1, 1, 1, samples, None)
    shared = Snapshot((position,), BufferStats(0, 0, 0.0, ()), None, (), (), runs, {}, {})
    return State(shared, events=samples, undecided=undecided, dead_letters=0, unread=unread)


@pytest.fixture
def pacing() -> Pacing:
    return Pacing(train_after=DUE)


def test_a_training_that_is_due_is_waited_for_and_holds_the_replay(pacing: Pacing) -> None:
    pacing.update(state(DUE - 1), now=0)
    assert (pacing.is_busy, pacing.holds()) == (False, False)
    pacing.update(state(DUE), now=1)
    assert (pacing.is_busy, pacing.holds()) == (True, True)


def test_a_training_that_goes_on_is_waited_for_and_holds_nothing(pacing: Pacing) -> None:
    pacing.update(state(DUE), now=0)
    for now in (1, 10 * TRAINING_TIMEOUT_SECONDS):
        pacing.update(state(DUE, [run(DUE, None)]), now)
        assert (pacing.is_busy, pacing.holds()) == (True, False)
    pacing.update(state(DUE, [run(DUE, "promoted")]), now=10 * TRAINING_TIMEOUT_SECONDS)
    assert not pacing.is_busy


def test_a_training_that_does_not_come_is_given_up_by_both(pacing: Pacing) -> None:
    pacing.update(state(DUE), now=0)
    pacing.update(state(2 * DUE), now=TRAINING_TIMEOUT_SECONDS)
    assert (pacing.is_busy, pacing.holds()) == (False, False)


def test_trainings_that_only_fail_are_given_up(pacing: Pacing) -> None:
    pacing.update(state(DUE), now=0)
    pacing.update(state(DUE, [run(DUE, None)]), now=1)
    pacing.update(state(DUE, [run(DUE, "failed")]), now=2)
    assert pacing.is_busy
    pacing.update(state(DUE, [run(DUE, "failed")] * 2), now=TRAINING_TIMEOUT_SECONDS)
    assert not pacing.is_busy


def test_the_next_training_is_waited_for_again_however_long_the_last_one_took(pacing: Pacing) -> None:
    pacing.update(state(DUE), now=0)
    pacing.update(state(2 * DUE, [run(DUE, None)]), now=1)
    pacing.update(state(2 * DUE, [run(DUE, "rejected")]), now=2 * TRAINING_TIMEOUT_SECONDS)
    assert (pacing.is_busy, pacing.holds()) == (True, True)


def test_the_replay_waits_for_what_is_not_decided_and_for_the_next_look(pacing: Pacing) -> None:
    pacing.update(state(0, undecided=501, unread=1), now=0)
    assert (pacing.is_busy, pacing.holds()) == (False, True)
    pacing.update(state(0), now=1)
    pacing.sent(249)
    assert not pacing.holds()
    pacing.sent(250)
    assert pacing.holds()
    pacing.update(state(0), now=2)
    assert not pacing.holds()


def test_impressions_of_an_open_window_hold_nothing_however_many(pacing: Pacing) -> None:
    """They are decided by what is sent next: a replay that waited for them would never end."""
    pacing.update(state(0, undecided=100_000, unread=0), now=0)
    assert not pacing.holds()


def test_while_a_training_goes_on_and_the_next_is_due_the_replay_waits_however_long(pacing: Pacing) -> None:
    pacing.update(state(DUE), now=0)
    goes_on = [run(DUE, None)]
    for now in (1, 10 * TRAINING_TIMEOUT_SECONDS):
        pacing.update(state(2 * DUE, goes_on), now)
        assert (pacing.is_busy, pacing.holds()) == (True, True)
