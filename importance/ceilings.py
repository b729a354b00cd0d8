"""How far event time may go by the wall clock, offset by offset. Pure: the wall clock is an argument, and is recorded.

A record of the year 3000 must not move event time there, or every later impression of its partition is late. But the
wall clock at which a record was read is not in the log, and reading it again later must come to the same. So the
highest event time that was allowed, the ceiling, is kept as a step function of the offset, and stored with the
progress: what was read before is judged by the ceiling of then.
"""

from bisect import bisect_right
from operator import itemgetter
from typing import Final

from importance.events import MAX_AHEAD_MS
from importance.partition_progress import BEGINNING_OF_TIME_MS, Ceiling, Progress

"""How far past the wall clock a record may move event time."""

STEP_MS: Final = 10_000
"""The wall clock is read in steps of so much, so that what is stored of an hour is a few hundred steps at most."""

_NEVER: Final = 2**63
_offset_of = itemgetter(0)


class Ceilings:
    """The ceilings of one partition, from ``start.acknowledged`` on."""

    def __init__(self, start: Progress) -> None:
        self._read = start.read  # what lies below is judged by what is recorded
        self._steps: tuple[Ceiling, ...] = start.ceilings
        self._wall_ms: int | None = None
        self.unquestioned_ms = -_NEVER
        """A record up to here needs no question: a shortcut for the hot loop."""

    def at_clock(self, wall_ms: int | None) -> None:
        """Read on at this wall clock; None: nothing holds event time back."""
        self._wall_ms = None if wall_ms is None else wall_ms // STEP_MS * STEP_MS

    def is_past(self, offset: int, seen_ms: int) -> bool:
        """Whether the record at ``offset``, which would move event time to ``seen_ms``, lies past the ceiling.

        A ceiling that is too low is raised first, as far as the wall clock allows. Offsets come in order.
        """
        if offset < self._read:
            step = bisect_right(self._steps, offset, key=_offset_of) - 1
            return step >= 0 and seen_ms > self._steps[step][1]
        if self._wall_ms is None:
            return False
        ceiling_ms = self._steps[-1][1] if self._steps else -_NEVER
        allowed_ms = self._wall_ms + MAX_AHEAD_MS
        if seen_ms > ceiling_ms and allowed_ms > ceiling_ms:
            ceiling_ms = allowed_ms
            self._steps = (*self._steps, (offset, ceiling_ms))
        self.unquestioned_ms = ceiling_ms
        return seen_ms > ceiling_ms

    @property
    def steps(self) -> tuple[Ceiling, ...]:
        """Every step that was not forgotten."""
        return self._steps

    def forget(self, acknowledged: int) -> None:
        """Drop the steps that reading again from ``acknowledged`` does not need."""
        steps = self._steps
        if len(steps) > 1 and steps[1][0] <= acknowledged:
            self._steps = steps[bisect_right(steps, acknowledged, key=_offset_of) - 1 :]


def is_ahead(progress: Progress, wall_ms: int) -> bool:
    """Whether event time, or how far it may go, lies further past the wall clock than any record may move it."""
    latest_ms = max([progress.event_time_ms, *(ceiling_ms for _, ceiling_ms in progress.ceilings)])
    return latest_ms > wall_ms + MAX_AHEAD_MS


def reset(progress: Progress, wall_ms: int) -> Progress:
    """Progress at the same offset with event time yet to come, held to this wall clock whatever is read.

    Nothing before ``next`` is read again, where a record may lie that would move event time too far; so no id is
    remembered, and what was late there can be sent again. What follows counts as not read: it is judged afresh.

    >>> reset(Progress(7, 32_503_680_000_000, 3, 32_503_680_000_000, 9), wall_ms=1_700_000_000_000).ceilings
    ((0, 1700000300000),)
    """
    ceiling = (0, wall_ms // STEP_MS * STEP_MS + MAX_AHEAD_MS)
    at = progress.next
    return Progress(at, BEGINNING_OF_TIME_MS, at, BEGINNING_OF_TIME_MS, read=at, ceilings=(ceiling,))
