"""Which of a trainer's decisions are recorded, and their form in the record."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final, Protocol

from storage.runs import LEARNED, Run
from storage.training_decisions import TrainingDecision
from trainer.triggers import LearningState, RecentQuality, TriggerPolicy
from trainer.triggers.simulation import Decided, Ran
from trainer.triggers.waiting import Observed, waited

STORE: Final = "artifact store"
"""What holds a run back whose result could not be stored."""
_RECORD_SECONDS: Final = 60.0


class Record(Protocol):
    """Where decisions are kept, in the order of their times: a table, or memory where a stream is played offline."""

    def add(self, decision: TrainingDecision) -> None:
        """Append a decision."""

    def last(self) -> TrainingDecision | None:
        """Return the last decision; None before the first."""


class DecisionLog:
    """The decisions of the trainer that leads.

    Recorded are: each that starts a run, each that is held back by something else than the one before, and, while
    samples come, one a minute. Polls in between change nothing that is remembered, so a trainer that takes over
    continues from the record.
    """

    def __init__(self, decisions: Record) -> None:
        self._decisions = decisions
        self._last = decisions.last()

    def waited(self, last_learned: float | None, now: float) -> float:
        """Return ∫ new mass dt, see `trainer.triggers.waiting`."""
        return waited(None if self._last is None else _observed(self._last), last_learned, now)

    def add(
        self, state: LearningState, policy: TriggerPolicy, trigger: str | None, held: str | None, now: float
    ) -> None:
        """Record a decision if it is one to be recorded."""
        if trigger is None and not self._is_news(state, held, now):
            return
        self._last = TrainingDecision(now, trigger, held, asdict(state), policy.record())
        self._decisions.add(self._last)

    def _is_news(self, state: LearningState, held: str | None, now: float) -> bool:
        last = self._last
        if last is None or last.trigger is not None or last.held_back != held:
            return True
        return now - last.time >= _RECORD_SECONDS and state.samples != last.state["samples"]


def decided(decision: TrainingDecision) -> Decided:
    """Return a recorded decision as the simulation reads it."""
    return Decided(decision.time, learning_state(decision.state), decision.trigger)


def ran(run: Run) -> Ran:
    """Return a run that has ended as the simulation reads it."""
    assert run.ended is not None
    return Ran(run.started.timestamp(), run.ended.timestamp(), run.result in LEARNED)


def learning_state(record: Mapping[str, Any]) -> LearningState:
    """Return the state of a record."""
    recent = record["recent"]
    return LearningState(**{**record, "recent": None if recent is None else RecentQuality(**recent)})


def _observed(decision: TrainingDecision) -> Observed:
    state = learning_state(decision.state)
    return Observed(decision.time, state.fresh_mass, state.waited)
