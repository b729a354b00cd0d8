"""When a policy would have started runs over a recorded stream. Pure.

The record is what a trainer observed at its polls (`Decided`). What the stream brought is taken from it as it is; what
follows from the runs (how much is new since the last one, the cool-down) is computed again for the simulated ones. A
simulated run that starts where a recorded one did ends as that did, so the policy that was live gives the very runs
that were live. Any other is expected to take ``run_seconds`` and to be carried through. What the record cannot tell:
how well the versions of other runs would have predicted (`RecentQuality` is that of the live ones).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from trainer.triggers.base import LearningState
from trainer.triggers.policy import TriggerPolicy, training_due
from trainer.triggers.waiting import Observed, waited


@dataclass(frozen=True, slots=True)
class Decided:
    """A recorded decision: ``state`` at ``time``; ``trigger`` is the one that fired live, None where none did."""

    time: float
    state: LearningState
    trigger: str | None


@dataclass(frozen=True, slots=True)
class Ran:
    """A recorded run; ``learned``: it was carried through. Times in seconds since the epoch."""

    started: float
    ended: float
    learned: bool


@dataclass(frozen=True, slots=True)
class Firing:
    """A simulated run: when and why it starts, what is new then, and how many seconds it takes."""

    time: float
    trigger: str
    fresh: int
    fresh_mass: float
    waited: float
    seconds: float


Policies = Callable[[bool], TriggerPolicy]
"""Returns the policy; its argument is whether the last run failed, after which a retry may have to wait longer."""


@dataclass(frozen=True, slots=True)
class _Last:
    """The last simulated run, and what had been decided when the last one that learned started."""

    started: float | None
    ended: float | None
    failed: bool
    learned: float | None
    samples: int
    mass: float


def simulate(record: Sequence[Decided], runs: Sequence[Ran], policies: Policies) -> Iterator[Firing]:
    """Yield the runs that a policy starts over a record, in order; ``record`` and ``runs`` are sorted by time.

    The simulation starts in the state of the first decision.
    """
    if not record:
        return
    first = record[0].state
    last = _Last(first.last_started, first.last_ended, False, first.last_learned, first.samples_at_last,
                 first.mass_at_last)  # fmt: skip
    before: Observed | None = None
    asked_since: float | None = None
    for index, decided in enumerate(record):
        now, stream = decided.time, decided.state
        asked_since = (asked_since if asked_since is not None else now) if stream.asked else None
        if last.ended is not None and now < last.ended:
            continue  # a trainer decides nothing while it trains
        answered = asked_since is not None and last.learned is not None and last.learned >= asked_since
        state = replace(
            stream,
            samples_at_last=last.samples, mass_at_last=last.mass, last_started=last.started, last_ended=last.ended,
            last_learned=last.learned, asked=stream.asked and not answered,
            waited=stream.waited if index == 0 else waited(before, last.learned, now),
        )  # fmt: skip
        before = Observed(now, state.fresh_mass, state.waited)
        due = training_due(state, policies(last.failed), now)
        if due is None:
            continue
        until = record[index + 1].time if index + 1 < len(record) else float("inf")
        ran = _recorded(runs, now, until) or _expected(stream, now)
        yield Firing(now, due.trigger, state.fresh, state.fresh_mass, state.waited, ran.ended - ran.started)
        last = replace(last, started=ran.started, ended=ran.ended, failed=not ran.learned)
        if ran.learned:
            last = replace(last, learned=ran.started, samples=stream.samples, mass=stream.mass)


def _recorded(runs: Sequence[Ran], time: float, until: float) -> Ran | None:
    """Return the live run that followed a decision, before the next one."""
    return next((run for run in runs if time <= run.started < until), None)


def _expected(state: LearningState, now: float) -> Ran:
    return Ran(now, now + (state.run_seconds or 0.0), learned=True)
