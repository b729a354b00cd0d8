"""The limit of event time by the wall clock, offset by offset. Pure: the wall clock is an argument, and is recorded.

A record of the year 3000 must not move event time there, or every later impression of its partition is late. But the
wall clock at which a record was read is not in the log, and reading it again must give the same result. So the highest
event time that was allowed, the ceiling, is kept as a step function of the offset and stored with the progress.
"""

from bisect import bisect_right
from operator import itemgetter
from typing import Final

from importance.events import MAX_AHEAD_MS
from importance.partition_progress import BEGINNING_OF_TIME_MS, Ceiling, Progress

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
        """A record up to this time is below the ceiling: a shortcut for the hot loop."""

    def at_clock(self, wall_ms: int | None) -> None:
        """Set the wall clock of the records that follow; None: event time is not limited."""
        self._wall_ms = None if wall_ms is None else wall_ms // STEP_MS * STEP_MS

    def is_past(self, offset: int, seen_ms: int) -> bool:
        """Return whether the record at ``offset``, which would move event time to ``seen_ms``, is past the ceiling.

        A ceiling that is too low is raised first, as far as the wall clock allows. Offsets must ascend.
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
        """Return every step that was not forgotten."""
        return self._steps

    def forget(self, acknowledged: int) -> None:
        """Drop the steps that reading again from ``acknowledged`` does not need."""
        steps = self._steps
        if len(steps) > 1 and steps[1][0] <= acknowledged:
            self._steps = steps[bisect_right(steps, acknowledged, key=_offset_of) - 1 :]


def is_ahead(progress: Progress, wall_ms: int) -> bool:
    """Return whether event time or its ceiling is further past the wall clock than any record may move it."""
    latest_ms = max([progress.event_time_ms, *(ceiling_ms for _, ceiling_ms in progress.ceilings)])
    return latest_ms > wall_ms + MAX_AHEAD_MS


def reset(progress: Progress, wall_ms: int) -> Progress:
    """Return progress at the same offset without event time, with this wall clock as its ceiling.

    Records before ``next``, one of which may have moved event time too far, are not read again; so their ids are not
    kept, and late ones among them can be sent again. Records after it count as not read.

    >>> reset(Progress(7, 32_503_680_000_000, 3, 32_503_680_000_000, 9), wall_ms=1_700_000_000_000).ceilings
    ((0, 1700000300000),)
    """
    ceiling = (0, wall_ms // STEP_MS * STEP_MS + MAX_AHEAD_MS)
    at = progress.next
    return Progress(at, BEGINNING_OF_TIME_MS, at, BEGINNING_OF_TIME_MS, read=at, ceilings=(ceiling,))
