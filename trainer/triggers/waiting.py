"""The area under the curve of new importance mass since the last run, from observations at any intervals. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen at ``time``: ``fresh_mass`` was new, and had ``waited`` so far."""

    time: float
    fresh_mass: float
    waited: float


def waited(before: Observed | None, last_learned: float | None, now: float) -> float:
    """Return ∫ new mass dt up to ``now``, in average samples times seconds, by the last observation ``before``.

    Between two observations the mass is that of the first one. A run that was carried through starts it again from 0,
    at the first observation after its start ``last_learned``.

    >>> waited(Observed(time=100.0, fresh_mass=20.0, waited=50.0), last_learned=90.0, now=103.0)
    110.0
    >>> waited(Observed(time=100.0, fresh_mass=20.0, waited=50.0), last_learned=101.0, now=103.0)
    0.0
    """
    if before is None or (last_learned is not None and last_learned >= before.time):
        return 0.0
    return before.waited + max(0.0, before.fresh_mass) * max(0.0, now - before.time)
