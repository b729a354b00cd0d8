"""A partition whose event time was moved to the year 3000, before anything refused that: its reset."""

import pytest

from importance.attribution import Join, Policy, Progress
from importance.ceilings import is_ahead, reset
from importance.decisions import Decisions
from importance.events import MAX_AHEAD_MS
from tests.support.malformed import valid_action, valid_heartbeat, valid_impression

YEAR_3000_MS = 32_503_680_000_000
WALL_MS = 1_700_000_000_000
MINUTE_MS = 60_000
POLICY = Policy(window_ms=30 * MINUTE_MS, deduplication_ms=30 * MINUTE_MS)


def suffered(*values: bytes) -> tuple[Join, Decisions]:
    """A partition that was read without a wall clock, each record stamped by its producer's."""
    join = Join(POLICY, 0, Progress.beginning(0))
    return join, join.feed(0, len(values), [(offset, YEAR_3000_MS, value) for offset, value in enumerate(values)])


def test_what_comes_after_the_reset_is_not_late_and_what_was_late_can_be_sent_again() -> None:
    shown, again = valid_impression("i1", time=WALL_MS), valid_impression("i2", time=WALL_MS + MINUTE_MS)
    join, decisions = suffered(valid_heartbeat(YEAR_3000_MS), shown)
    assert [dead.reason for dead in decisions.dead] == ["late"]
    assert is_ahead(join.progress, WALL_MS)

    progress = reset(join.progress, WALL_MS)
    assert not is_ahead(progress, WALL_MS)
    heir = Join(POLICY, 0, progress)
    records = [(2, WALL_MS, again), (3, WALL_MS, shown), (4, WALL_MS, valid_action("a1", "i1", time=WALL_MS))]
    read = heir.feed(0, 5, records, WALL_MS, backfill=(3,))
    assert not read.dead
    done = heir.advance(WALL_MS + 32 * MINUTE_MS)
    assert [(sample.id, bool(sample.actions)) for sample in done.samples] == [("i2", False), ("i1", True)]


def test_an_impression_of_the_year_3000_that_held_its_partition_becomes_a_dead_letter() -> None:
    poison, shown = valid_impression("p", time=YEAR_3000_MS), valid_impression("i1", time=WALL_MS)
    join, _ = suffered(poison, shown)
    assert join.progress.next == 0  # it waits until the year 3000
    heir = Join(POLICY, 0, reset(join.progress, WALL_MS))
    read = heir.feed(0, 2, [(0, YEAR_3000_MS, poison), (1, WALL_MS, shown)], WALL_MS)
    assert [(dead.offset, dead.reason) for dead in read.dead] == [(0, "time_ahead_of_clock")]
    assert [sample.id for sample in heir.advance(WALL_MS + 31 * MINUTE_MS).samples] == ["i1"]


@pytest.mark.parametrize(
    ("progress", "ahead"),
    [
        (Progress.beginning(0), False),
        (Progress(1, WALL_MS + MAX_AHEAD_MS, 0, 0, 1, ((0, WALL_MS + MAX_AHEAD_MS),)), False),
        (Progress(1, WALL_MS + MAX_AHEAD_MS + 1, 0, 0, 1), True),
        (Progress(1, WALL_MS, 0, 0, 1, ((0, WALL_MS), (1, YEAR_3000_MS))), True),  # a worker's own clock was wrong
    ],
)
def test_a_partition_is_ahead_past_the_wall_clock_and_five_minutes(progress: Progress, ahead: bool) -> None:
    assert is_ahead(progress, WALL_MS) == ahead
