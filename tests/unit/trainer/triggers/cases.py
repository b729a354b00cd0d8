"""The triggers with a state each in which they fire, for the conformance suite. A new trigger gets its line here."""

from dataclasses import dataclass, replace

from trainer.triggers import Amount, Drift, LearningState, Operator, Time, Trigger

QUIET = LearningState(
    samples=5_000, samples_at_last=5_000, trainable=500, last_started=90.0, last_ended=100.0, asked=False, frozen=False
)
"""Nothing is new and no request waits: no trigger fires, however long this lasts."""


@dataclass(frozen=True)
class Case:
    """A trigger, and a state and time at which it fires."""

    trigger: Trigger
    firing: LearningState
    now: float = 200.0


CASES = (
    Case(Amount(1_000), replace(QUIET, samples=6_000)),
    Case(Time(600), replace(QUIET, samples=5_001), now=690.0),
    Case(Drift(), replace(QUIET, samples=5_001, alarmed=95.0, last_learned=90.0)),
    Case(Operator(), replace(QUIET, asked=True)),
)
