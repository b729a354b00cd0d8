"""One partition's worker: the order of its effects, and what it does when one of them fails."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from faust.types import TP
from hypothesis import given, settings
from hypothesis import strategies as st
from tenacity import AsyncRetrying, RetryCallState

from importance.attribution import Join, Policy, Progress
from importance.errors import Fenced, Unavailable
from importance.flush import Flush
from importance.sample import Sample
from importance.scores import Offer, Scores
from stream.dead_letters import DeadLetter
from stream.offset_tracker import OffsetTracker
from stream.partition_worker import Effects, Limits, PartitionWorker
from stream.reports import KAFKA, Availability, Change, CommittedBatch, Lost, Report, Skipped
from stream.threads import Threads
from tests.support.waiting import TIMEOUT_SECONDS

POLICY = Policy(window_ms=1_000, deduplication_ms=1_000)
QUICK = Limits(retry_seconds=0.0)


@dataclass
class Record:
    """What a worker reads of aiokafka's records."""

    offset: int
    value: bytes
    timestamp: int = 10**12
    topic: str = "interactions"
    partition: int = 0
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def shown(number: int, time_ms: int = 0) -> bytes:
    event = {"id": f"i{number}", "type": "impression", "time": time_ms, "subject": "s", "surface": "search"}
    return json.dumps({**event, "query": "q", "item": "p", "text": "t"}).encode()


def beat(time_ms: int) -> bytes:
    return json.dumps({"type": "heartbeat", "time": time_ms}).encode()


@dataclass
class World:
    """Everything around a worker; ``log`` is what was done, in order, and ``fail`` may refuse."""

    log: list[str] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    flushes: list[Flush] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    stored: Progress | None = None
    fail: Callable[[str], None] = lambda step: None

    def __post_init__(self) -> None:
        self.tracker = OffsetTracker(TP("interactions", 0), 1, 0, lambda: None)
        self.threads = Threads()
        self.availability = Availability(self.reports.append)

    def _do(self, step: str) -> None:
        self.fail(step)
        self.log.append(step)

    def claim(self, partition: int, generation: int) -> tuple[int, Progress | None]:
        self._do("claim")
        return 5, self.stored

    def score(self, samples: Sequence[Sample]) -> Scores:
        self._do("score")
        self.scored += [sample.id for sample in samples]
        return Scores.uniform(len(samples))

    def admit(self, samples: Sequence[Sample], scores: Scores) -> list[Offer]:
        rest: dict[str, Any] = {"stratum": "uniform", "log_weight": 0.0, "key": 0.0, "probability": 1.0}
        rest |= {"label": 0, "importance": 1.0, "estimator": "uniform", "model": "v1", "prediction": None}
        return [Offer(sample=sample, kept=True, threshold_epoch=0, **rest) for sample in samples]

    async def publish(self, offers: Sequence[Offer], letters: Sequence[DeadLetter]) -> None:
        self._do("publish")

    def persist(self, flush: Flush) -> None:
        self._do("persist")
        self.flushes.append(flush)

    def worker(self, limits: Limits = QUICK) -> PartitionWorker:
        effects = Effects(self.claim, self.score, self.admit, lambda *_: {}, self.persist, self.reports.append)
        return PartitionWorker(0, 1, POLICY, effects, self.publish, limits, self.availability, self.threads)

    def give(self, worker: PartitionWorker, *values: bytes) -> None:
        first = self.tracker.end or 0
        records = [Record(first + number, value) for number, value in enumerate(values)]
        worker.accept(self.tracker.add(first, first + len(values), records))

    async def until(self, condition: Callable[[], bool], task: "asyncio.Task[None]") -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not condition():
                assert not task.done(), task
                await asyncio.sleep(0.001)


async def walked(world: World, *chunks: Sequence[bytes], limits: Limits = QUICK) -> None:
    """Give the chunks to a worker one after the other, each when the one before has gone its way."""
    worker = world.worker(limits)
    task = asyncio.create_task(worker.run())
    for values in chunks:
        world.give(worker, *values)
        await world.until(lambda: not worker.has_work, task)
    worker.stop()
    await task


async def test_scores_are_published_before_they_are_remembered_and_acknowledged_after() -> None:
    world = World()
    committable: list[int | None] = []
    world.fail = lambda step: committable.append(world.tracker.committable)
    await walked(world, [shown(1), shown(2)], [beat(3_000)])
    assert world.log == ["claim", "persist", "score", "publish", "persist"]
    assert committable == [0, 0, 0, 0, 0]
    assert world.tracker.committable == 3


async def test_only_how_far_it_read_is_stored_while_nothing_is_decided() -> None:
    world = World()
    await walked(world, [shown(1)], [shown(2)], [shown(3)])
    assert world.log == ["claim", *["persist"] * 3]
    assert [(flush.progress.next, flush.progress.read, flush.samples) for flush in world.flushes] == [
        (0, 1, 0),
        (0, 2, 0),
        (0, 3, 0),
    ]
    assert world.tracker.committable == 0


async def test_a_dead_letter_alone_is_published_before_it_is_passed() -> None:
    world = World()
    await walked(world, [b"{"])
    assert world.log == ["claim", "publish", "persist"]
    (batch,) = [report for report in world.reports if isinstance(report, CommittedBatch)]
    assert list(batch.dead) == ["not_json"]


@pytest.mark.parametrize("step", ["claim", "score", "publish", "persist"])
async def test_a_step_whose_dependency_is_away_is_tried_again_and_told_once(step: str) -> None:
    world = World()
    failures = iter([True] * 3)

    def fail(now: str) -> None:
        if now == step and next(failures, False):
            raise Unavailable("away")

    world.fail = fail
    await walked(world, [shown(1), beat(3_000)])
    assert world.log == ["claim", "score", "publish", "persist"]
    assert world.scored == ["i1"]
    assert [report.available for report in world.reports if isinstance(report, Change)] == [False, True]


@pytest.mark.parametrize(("answer", "progress"), [(None, False), ("no answer", True)])
async def test_a_retry_is_progress_only_while_the_dependency_itself_is_unavailable(
    answer: str | None, progress: bool
) -> None:
    world = World()
    world.availability.probed(KAFKA, "probe", answer)
    attempts: list[int] = []

    def refuse(step: str) -> None:
        if step == "publish":
            attempts.append(worker.progress_marker)
            raise Unavailable("refused")

    worker = world.worker()
    world.fail = refuse
    task = asyncio.create_task(worker.run())
    world.give(worker, b"{")
    await world.until(lambda: len(attempts) > 20, task)
    assert worker.has_work
    assert (attempts[-1] > attempts[0]) == progress
    task.cancel()


async def test_an_unclear_commit_has_the_very_same_flush_given_again() -> None:
    world = World()
    given: list[Flush] = []
    persist = world.persist

    def lost_answer(flush: Flush) -> None:
        given.append(flush)
        if len(given) < 3:
            raise Unavailable("the connection was lost during COMMIT")
        persist(flush)

    world.persist = lost_answer  # type: ignore[method-assign]
    await walked(world, [shown(1), beat(3_000)])
    assert given[0] is given[1] is given[2]
    assert (given[0].epoch, given[0].old_next, given[0].progress.next, given[0].samples) == (5, 0, 2, 1)


async def test_a_fenced_lane_ends_quietly_and_touches_nothing_more() -> None:
    world = World()

    def fail(step: str) -> None:
        if step == "persist":
            raise Fenced("epoch 6 is another's")

    world.fail = fail
    worker = world.worker()
    world.give(worker, shown(1), beat(3_000))
    await worker.run()
    world.give(worker, shown(2, 3_000))
    assert world.reports == [Lost(0, "epoch 6 is another's")]
    assert world.tracker.committable == 0
    assert worker.has_work  # and stays so: should the partition not be revoked, the watchdog sees it


async def test_what_one_record_decides_is_stored_in_bounded_transactions_and_a_kill_between_two_loses_nothing() -> None:
    world = World()
    values = [*(shown(number) for number in range(20)), b"{", beat(3_000)]

    def killed(step: str) -> None:
        if step == "publish" and len(world.flushes) == 2:
            raise ZeroDivisionError

    world.fail = killed
    limits = replace(QUICK, commit_samples=6)
    worker = world.worker(limits)
    world.give(worker, *values)
    with pytest.raises(ZeroDivisionError):
        await worker.run()
    assert world.tracker.committable == 0
    assert [flush.samples for flush in world.flushes] == [5, 5]
    assert [flush.progress.next for flush in world.flushes] == [5, 10]
    assert world.log.count("publish") == 2

    heir = World(stored=world.flushes[-1].progress)
    await walked(heir, values, limits=limits)
    assert [flush.old_next for flush in heir.flushes] == [10, 15]
    assert [offer.sample.id for flush in (*world.flushes, *heir.flushes) for offer in flush.offers] == [
        f"i{number}" for number in range(20)
    ]
    first, *rest = [report for report in (*world.reports, *heir.reports) if isinstance(report, CommittedBatch)]
    assert first.dead == ["not_json"]
    assert not any(batch.dead for batch in rest)
    assert heir.flushes[-1].progress.next == len(values)


async def test_any_other_exception_is_for_the_process_to_end_with() -> None:
    world = World()

    def fail(step: str) -> None:
        if step == "score":
            raise ZeroDivisionError

    world.fail = fail
    worker = world.worker()
    world.give(worker, shown(1), beat(3_000))
    with pytest.raises(ZeroDivisionError):
        await worker.run()


async def test_what_lies_below_next_is_neither_scored_nor_published_nor_counted_again() -> None:
    world = World()
    world.stored = Progress(next=4, event_time_ms=2_000, acknowledged=0, acknowledged_event_time_ms=0)
    await walked(world, [shown(1), shown(2), b"{", beat(2_000), shown(3, 2_000)], [beat(9_000)])
    assert world.scored == ["i3"]
    counted = sum(
        count for report in world.reports if isinstance(report, CommittedBatch) for count in report.counts.values()
    )
    assert counted == 2  # the third impression and the last heartbeat
    assert [flush.old_next for flush in world.flushes] == [4, 4]  # what was read, then what was decided


async def test_a_chunk_wholly_below_what_was_acknowledged_is_acknowledged_at_once() -> None:
    world = World()
    world.stored = Progress(next=9, event_time_ms=5_000, acknowledged=2, acknowledged_event_time_ms=0)
    await walked(world, [shown(1), shown(2)])
    assert world.tracker.committable == 2
    assert world.log == ["claim"]


async def test_records_between_what_is_stored_and_what_is_read_first_are_reported_of() -> None:
    world = World()
    world.stored = Progress(next=9, event_time_ms=5_000, acknowledged=2, acknowledged_event_time_ms=0)
    world.tracker.end = 7
    await walked(world, [shown(1)])
    assert [report for report in world.reports if isinstance(report, Skipped)] == [Skipped(0, known=2, first=7)]


async def test_offsets_without_records_are_reported_of_only_when_the_log_lost_what_was_there() -> None:
    world = World()
    worker = world.worker()
    worker.accept(world.tracker.add(0, 1, [Record(0, beat(1_000))]))
    worker.accept(world.tracker.add(4, 5, [Record(4, beat(1_000))]))  # behind transaction markers, or compacted records
    world.tracker.skip_to(8)
    worker.accept(world.tracker.add(9, 10, [Record(9, beat(1_000))]))
    assert world.reports == [Skipped(0, known=5, first=8)]


async def test_idle_time_decides_what_waits_and_stores_nothing_when_nothing_does() -> None:
    world = World()
    worker = world.worker()
    task = asyncio.create_task(worker.run())
    world.give(worker, shown(1))
    await world.until(lambda: worker.event_time_ms == 0 and not worker.has_work, task)
    assert worker.wants_time
    for time_ms in (500, 1_000, 1_500, 5_000):
        before = worker.progress_marker
        worker.advance(time_ms)
        await world.until(lambda at=time_ms: worker.event_time_ms == at and not worker.has_work, task)
        assert worker.progress_marker > before  # also where it decided nothing: idling is not a hang
    assert world.scored == ["i1"]
    assert not worker.wants_time
    stored = len(world.flushes)
    worker.advance(6_000)
    await world.until(lambda: worker.event_time_ms == 6_000 and not worker.has_work, task)
    assert len(world.flushes) == stored
    worker.stop()
    await task


async def test_a_record_that_arrives_ends_the_idling() -> None:
    world = World()
    worker = world.worker()
    task = asyncio.create_task(worker.run())
    world.give(worker, shown(1))
    await world.until(lambda: worker.event_time_ms == 0 and not worker.has_work, task)
    worker.advance(9_000)
    world.give(worker, shown(2, 10))
    await world.until(lambda: not worker.has_work, task)
    assert worker.event_time_ms == 10
    worker.stop()
    await task


@settings(max_examples=60)
@given(st.lists(st.integers(0, 3_000), max_size=20), st.lists(st.integers(1, 5), max_size=20), st.integers(1, 4))
def test_chunks_and_merging_change_neither_samples_nor_progress(
    times: list[int], sizes: list[int], max_samples: int
) -> None:
    values = [shown(number, time_ms) for number, time_ms in enumerate(times)] + [beat(9_000)]
    join = Join(POLICY, 0, Progress.beginning(0))
    expected = join.feed(0, len(values), [(offset, 10**12, value) for offset, value in enumerate(values)])
    chunks, rest = [], values
    for size in [*sizes, len(values)]:
        if rest:
            chunks.append(rest[:size])
            rest = rest[size:]

    async def run() -> World:
        world = World()
        worker = world.worker(replace(QUICK, scoring_samples=max_samples, batch_samples=2 * max_samples))
        task = asyncio.create_task(worker.run())
        for chunk in chunks:
            world.give(worker, *chunk)  # all at once: they queue up and are merged
        await world.until(lambda: not worker.has_work, task)
        worker.stop()
        await task
        world.threads.close()
        return world

    world = asyncio.run(run())
    assert world.scored == [sample.id for sample in expected.samples]
    assert world.flushes[-1].progress.next == expected.progress.next == len(values)
    assert world.flushes[-1].progress.event_time_ms == expected.progress.event_time_ms
    assert [flush.old_next for flush in world.flushes[1:]] == [flush.progress.next for flush in world.flushes[:-1]]


def test_pauses_between_retries_are_random_and_bounded() -> None:
    wait = Limits(retry_seconds=0.1, retry_max_seconds=5.0).wait
    state = RetryCallState(AsyncRetrying(), None, (), {})
    for attempt, longest in ((1, 0.1), (2, 0.2), (3, 0.4), (7, 5.0), (10_000, 5.0)):
        state.attempt_number = attempt
        pauses = {wait(state) for _ in range(50)}
        assert len(pauses) > 40
        assert all(0 <= pause <= longest for pause in pauses)
