"""When a partition counts as idle, and what a pause of broker or worker does to that."""

from typing import Any

import pytest

from importance.attribution import Policy
from stream.agent import Pipeline
from stream.partition_worker import Effects, Limits
from stream.reports import LagReport, Report
from tests.unit.stream.test_partition_worker import Record, World, shown

IDLE_SECONDS = 3.0


class Watched:
    """A pipeline with one partition, which waits for the window of one impression shown at 0 ms."""

    def __init__(self) -> None:
        self.world = World()
        self.reports: list[Report] = []
        world = self.world
        effects = Effects(world.claim, world.score, world.admit, lambda *_: {}, world.persist, self.reports.append)
        self.pipeline = Pipeline(Policy(10_000, 10_000), effects, world.publish, Limits(), IDLE_SECONDS)

    async def begin(self) -> "Watched":
        async def one() -> Any:
            yield self.world.tracker.add(0, 1, [record(0)])

        await self.pipeline.consume(one())
        await self.settled()
        return self

    async def settled(self) -> None:
        (worker,) = self.pipeline._workers.values()
        (task,) = self.pipeline._tasks.values()
        await self.world.until(lambda: not worker.has_work, task)

    async def look(self, *times: float, end: int = 1) -> int | None:
        """The broker answers at these times; event time afterwards."""
        (worker,) = self.pipeline._workers.values()
        for now in times:
            self.pipeline.update_positions({0: (1, end)}, now)
            await self.settled()
        return worker.event_time_ms


def record(offset: int) -> Record:
    return Record(offset, shown(offset))


@pytest.fixture
async def watched() -> Any:
    watched = await Watched().begin()
    yield watched
    await watched.pipeline.stop(30)


async def test_event_time_stands_until_the_partition_is_idle_and_then_has_run_since_the_last_event(
    watched: Watched,
) -> None:
    assert await watched.look(100, 101, 102) == 0
    assert await watched.look(103) == 3_000
    assert await watched.look(104, 105) == 5_000


async def test_a_pause_between_two_answers_moves_nothing(watched: Watched) -> None:
    assert await watched.look(100, 101, 102, 103) == 3_000
    assert await watched.look(900) == 3_000  # nobody knows what happened in between
    assert await watched.look(901) == 4_000


async def test_a_partition_that_is_not_read_to_its_end_is_not_idle(watched: Watched) -> None:
    assert await watched.look(100, 101, 102, 103, end=2) == 0
    assert await watched.look(104, 105, 106) == 0
    assert await watched.look(107) == 3_000


async def test_a_partition_that_has_nothing_left_to_wait_for_is_left_alone(watched: Watched) -> None:
    assert await watched.look(*range(100, 125)) == 20_000  # window and horizon are over: all is acknowledged
    assert watched.world.tracker.committable == 1
    assert watched.world.log.count("persist") == 3  # that it was read, that it was decided, that it is acknowledged


async def test_lag_and_waiting_are_reported_of_the_assigned_partitions_only(watched: Watched) -> None:
    watched.pipeline.update_positions({0: (1, 4), 3: (7, 7)}, now=1.0)
    assert watched.reports[-1] == LagReport(
        {0: 3, 3: 0}, {0: 1}, undecided={0: 4, 3: 0}, event_times_ms={0: 0}, oldest_ms={0: 0}
    )
    watched.pipeline.drop([0])
    watched.pipeline.update_positions({3: (7, 7)}, now=2.0)
    assert watched.reports[-1] == LagReport(lag={3: 0}, waiting={}, undecided={3: 0})


async def test_chunks_of_a_lost_generation_are_not_taken(watched: Watched) -> None:
    chunk = watched.world.tracker.add(1, 2, [record(1)])
    watched.world.tracker.drop()

    async def one() -> Any:
        yield chunk

    def waiting() -> int:
        return sum(worker.waiting for worker in watched.pipeline._workers.values())

    before = waiting()
    await watched.pipeline.consume(one())
    assert waiting() == before
    assert not watched.pipeline.progress_markers()
