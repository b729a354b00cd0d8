"""The triggers with a state each in which they fire, for the conformance suite. A new trigger gets its line here."""

from dataclasses import dataclass, replace

from trainer.triggers import (
    Amount,
    Cost,
    Drift,
    LearningState,
    Mass,
    Operator,
    Performance,
    RecentQuality,
    Time,
    Trigger,
)

QUIET = LearningState(
    samples=5_000, samples_at_last=5_000, trainable=500, last_started=90.0, last_ended=100.0, asked=False, frozen=False,
    mass=5_200.0, mass_at_last=5_200.0, waited=1e9, run_seconds=10.0,
    recent=RecentQuality(auc=0.6, error=0.01, samples=9_000, reference=0.8),
)  # fmt: skip
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
    Case(Mass(900.0), replace(QUIET, samples=5_500, mass=6_100.0)),
    Case(Performance(0.05), replace(QUIET, samples=6_000)),
    Case(Cost(200.0), replace(QUIET, samples=5_001, waited=2_000.0)),
    Case(Operator(), replace(QUIET, asked=True)),
)
