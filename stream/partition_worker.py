"""Process one partition in one generation: chunks in, durable effects out, strictly in offset order.

A partition worker holds the join of its partition and repeats one cycle: feed the fetched chunks to the join, score the
decided samples, publish, persist, report, acknowledge. Nothing is acknowledged before it is durable. Slow calls run in
threads; the event loop only waits.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from importance.attribution import BEGINNING_OF_TIME_MS, Decisions, Join, Policy, Progress
from importance.drift.block import Block
from importance.drift.sketch_key import SketchKey
from importance.errors import Fenced, Unavailable
from importance.flush import Flush
from importance.quality import CountKey, Counts
from importance.race.standing import Standing
from importance.sample import Sample
from importance.scores import Offer, Scores
from importance.shadow import Gains, Pair
from stream.dead_letters import DeadLetter, is_backfill
from stream.offset_tracker import Chunk
from stream.reports import KAFKA, STORAGE, Availability, CommittedBatch, Lost, Report, Scored, Skipped
from stream.threads import Threads

T = TypeVar("T")
Publish = Callable[[Sequence[Offer], Sequence[DeadLetter]], Awaitable[None]]


@dataclass(frozen=True)
class Effects:
    """The callables that a partition worker needs. All but ``report`` may block, and run in threads.

    ``claim(partition, generation)`` gives the epoch and the progress stored, None for a new partition. ``welcome``
    leaves out the samples that are of before their subject's erasure: they are neither scored nor published;
    ``welcome_letters`` leaves out such dead letters.
    ``tally`` converts scored samples to quality counts, ``sketch`` to the sums that drift is detected by, ``compare``
    to what further models gain by subject, ``race`` to the results of a race of selection policies by its name.
    ``persist`` stores a flush, once, however often it is given.
    They raise :class:`Unavailable` to be called again with the same arguments, :class:`Fenced` to end the worker;
    anything else ends the process.

    ``beginnings`` gives partition → the offset at which reading starts, by what is stored; a partition that is missing
    is read from its start. What the group committed may be that of another store, or of a topic of the same name that
    was deleted; it is where reading starts only without ``beginnings``. ``clock`` gives the seconds since the epoch,
    past which no record moves event time far.
    """

    claim: Callable[[int, int], tuple[int, Progress | None]]
    score: Callable[[Sequence[Sample]], Scores]
    admit: Callable[[Sequence[Sample], Scores], Sequence[Offer]]
    tally: Callable[[Sequence[Sample], Scores], Mapping[CountKey, Counts]]
    persist: Callable[[Flush], None]
    report: Callable[[Report], None]
    beginnings: Callable[[], Mapping[int, int]] | None = None
    clock: Callable[[], float] = time.time
    sketch: Callable[[Sequence[Sample], Scores], Mapping[SketchKey, Block]] = lambda _samples, _scores: {}
    compare: Callable[[Sequence[Sample], Scores], Gains] = lambda _samples, _scores: {}
    race: Callable[[Sequence[Sample], Scores], Mapping[str, Standing]] = lambda _samples, _scores: {}
    welcome: Callable[[Sequence[Sample]], Sequence[Sample]] = lambda samples: samples
    welcome_letters: Callable[[Sequence[DeadLetter]], Sequence[DeadLetter]] = lambda letters: letters


@dataclass(frozen=True)
class Limits:
    """How much one commit holds, and how long a worker waits before a retry.

    Fetched chunks are merged until a batch has ``batch_samples`` decided or ``batch_records`` read: the round trips of
    a batch to Kafka and Postgres cost the same for one sample as for thousands. One record can decide all that waits;
    a transaction holds at most ``commit_samples`` of it. The scorer gets at most ``scoring_samples`` at once; between
    two calls another worker, or a new model, is served. Retries wait up to ``retry_seconds``, doubling up to
    ``retry_max_seconds``.
    """

    scoring_samples: int = 1_000
    batch_samples: int = 4_000
    batch_records: int = 20_000
    commit_samples: int = 8_000
    retry_seconds: float = 0.1
    retry_max_seconds: float = 5.0

    @property
    def wait(self) -> wait_random_exponential:
        """Return the pause before a retry: random, up to a limit that doubles, so that workers do not retry in step."""
        return wait_random_exponential(multiplier=self.retry_seconds, max=self.retry_max_seconds)


@dataclass
class Batch:
    """The records read and decided in one cycle, merged over chunks."""

    decisions: Decisions
    letters: list[DeadLetter] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    records: int = 0

    def add(self, chunk: Chunk, decisions: Decisions) -> None:
        """Take over what the join decided while it read ``chunk``, which still holds its raw records."""
        self.decisions.extend(decisions)
        self.chunks.append(chunk)
        self.records += chunk.count
        if decisions.dead:
            by_offset = {record.offset: record for record in chunk.records}
            self.letters.extend(
                DeadLetter.of(by_offset[dead.offset], dead.reason, dead.detail) for dead in decisions.dead
            )


@dataclass
class ScoredBatch:
    """The offers, quality counts, sums for drift, importance mass and scorer calls of a batch's samples."""

    offers: list[Offer] = field(default_factory=list)
    quality: dict[CountKey, Counts] = field(default_factory=dict)
    sketches: dict[SketchKey, Block] = field(default_factory=dict)
    gains: dict[Pair, Counter[int]] = field(default_factory=dict)
    race: dict[str, Standing] = field(default_factory=dict)
    mass: float = 0.0
    calls: list[Scored] = field(default_factory=list)


class PartitionWorker:
    """The work on one partition in one generation.

    ``progress_marker`` grows with every completed step. A retry alone does not count, except while a probe reports the
    dependency itself as unavailable. Pending work while ``progress_marker`` stays the same is a hang, or work that is
    refused for ever.
    """

    def __init__(
        self,
        partition: int,
        generation: int,
        policy: Policy,
        effects: Effects,
        publish: Publish,
        limits: Limits,
        availability: Availability,
        threads: Threads,
    ) -> None:
        self.partition = partition
        self.generation = generation
        self.progress_marker = 0
        self._policy = policy
        self._effects = effects
        self._publish = publish
        self._limits = limits
        self._availability = availability
        self._threads = threads
        self._queue: deque[Chunk] = deque()
        self._arrivals: deque[float] = deque()  # when each queued chunk came
        self._unacknowledged: deque[Chunk] = deque()
        self._end: int | None = None  # of the last chunk
        self._event_time_ms: int | None = None  # to which the wall clock has moved an idle partition
        self._called = asyncio.Event()
        self._stopping = False
        self._busy = False
        self._epoch = 0
        self._join: Join | None = None

    @property
    def waiting(self) -> int:
        """Count the impressions whose window is open."""
        return self._join.waiting if self._join is not None else 0

    @property
    def undecided(self) -> int:
        """Count the offsets that are read and not decided: the oldest waiting impression, and all behind it."""
        if self._join is None:  # not opened, or lost: no queued offset is decided
            return self._queue[-1].end - self._queue[0].first if self._queue else 0
        return max(0, (self._end or 0) - self._join.progress.next)

    @property
    def event_time_ms(self) -> int | None:
        """Return the partition's event time; None before its first record was read."""
        if self._join is None or self._join.event_time_ms == BEGINNING_OF_TIME_MS:
            return None
        return self._join.event_time_ms

    @property
    def oldest_ms(self) -> int | None:
        """Return the own time of the impression that is decided next; None when none waits."""
        return self._join.oldest_ms if self._join is not None else None

    @property
    def has_work(self) -> bool:
        """Return whether work is queued or under way that is not durable yet."""
        return self._busy or bool(self._queue) or self._event_time_ms is not None

    @property
    def wants_time(self) -> bool:
        """Return whether records were read that only the passing of event time can acknowledge."""
        return bool(self._unacknowledged)

    def accept(self, chunk: Chunk) -> None:
        """Queue a chunk; it must be the next one of the partition."""
        if self._end is not None:
            self._report_skipped(self._end, chunk)
        self._arrivals.append(time.monotonic())
        self._queue.append(chunk)
        self._end = chunk.end
        self._called.set()

    def advance(self, event_time_ms: int) -> None:
        """Advance event time to ``event_time_ms``: the partition is read to its end and the wall clock moves on."""
        self._event_time_ms = event_time_ms
        self._called.set()

    def stop(self) -> None:
        """End after the cycle that is under way."""
        self._stopping = True
        self._called.set()

    async def run(self) -> None:
        """Work until stopped, cancelled or fenced; any other exception ends the process."""
        try:
            while await self._work_came():
                self._busy = True
                await self._process(await self._opened())
                self.progress_marker += 1
                self._busy = False
        except Fenced as error:
            # Another process owns it now. Chunks that still arrive stay untouched; Kafka will revoke the partition, and
            # should it not, the watchdog sees queued chunks without progress.
            self._busy = False
            self._join = None
            self._effects.report(Lost(self.partition, str(error)))
        finally:
            self._availability.forget(self)

    async def _work_came(self) -> bool:
        while not self._stopping:
            if self._queue or (self._event_time_ms is not None and self._join is not None):
                return True
            self._called.clear()
            await self._called.wait()
        return False

    async def _opened(self) -> Join:
        """Return the join, made at the first chunk: reading starts at what the last owner acknowledged."""
        if self._join is None:
            claim = self._effects.claim
            self._epoch, progress = await self._until_done(
                STORAGE, partial(self._threads.store, claim, self.partition, self.generation)
            )
            chunk = self._queue[0]
            self._join = Join(self._policy, self.partition, progress or Progress.beginning(chunk.first))
            if progress is not None:
                self._report_skipped(progress.acknowledged, chunk)
        return self._join

    def _report_skipped(self, known: int, chunk: Chunk) -> None:
        if chunk.start > known:
            self._effects.report(Skipped(self.partition, known, chunk.start))

    async def _process(self, join: Join) -> None:
        """Run one cycle: everything from the bytes to the acknowledgement."""
        stored = join.progress
        arrived = self._arrivals[0] if self._arrivals else time.monotonic()
        batch = await self._threads.compute(self._read, join)
        for chunk in batch.chunks:
            chunk.release()
        self._unacknowledged.extend(batch.chunks)
        letters = batch.letters
        for part in batch.decisions.parts(stored, self._limits.commit_samples):
            await self._commit(stored, part, letters, arrived, report_empty=bool(batch.chunks))
            stored, letters = part.progress, []
        join.committed()
        self._acknowledge(stored.acknowledged)

    async def _commit(
        self, stored: Progress, decisions: Decisions, letters: Sequence[DeadLetter], arrived: float, report_empty: bool
    ) -> None:
        """Score, publish and persist what was decided since ``stored``, in one transaction, and report it."""
        corrections = decisions.corrections
        samples: Sequence[Sample] = decisions.samples
        if samples:
            samples = await self._until_done(STORAGE, partial(self._threads.store, self._effects.welcome, samples))
        if letters:
            keep = self._effects.welcome_letters
            letters = await self._until_done(STORAGE, partial(self._threads.store, keep, letters))
        scored = await self._score_all(samples)
        if scored.offers or letters:
            await self._until_done(KAFKA, partial(self._publish, scored.offers, letters))
        if corrections or _has_moved(stored, decisions.progress):
            flush = Flush(
                partition=self.partition,
                epoch=self._epoch,
                old_next=stored.next,
                progress=decisions.progress,
                offers=scored.offers,
                corrections=corrections,
                quality=scored.quality,
                samples=len(decisions.samples),
                sketches=scored.sketches,
                gains=scored.gains,
                race=scored.race,
                mass=scored.mass,
            )
            await self._until_done(STORAGE, partial(self._threads.store, self._effects.persist, flush))
        if report_empty or decisions.samples or corrections:
            dead = [letter.reason for letter in letters]
            self._effects.report(
                CommittedBatch(
                    self.partition, decisions.counts, scored.offers, len(corrections), dead, scored.calls,
                    time.monotonic() - arrived, decisions.late, len(decisions.samples) - len(samples),
                )
            )  # fmt: skip

    def _read(self, join: Join) -> Batch:
        """Feed the join until the batch is full or nothing is left to read. Runs in a thread."""
        batch = Batch(Decisions(join.progress))
        while self._queue and batch.records < self._limits.batch_records:
            self._arrivals.popleft()
            chunk = self._queue.popleft()
            records = [(record.offset, record.timestamp, record.value) for record in chunk.records]
            backfill = {record.offset for record in chunk.records if record.headers and is_backfill(record.headers)}
            wall_ms = int(self._effects.clock() * 1_000)
            batch.add(chunk, join.feed(chunk.first, chunk.end, records, wall_ms, backfill))
            if len(batch.decisions.samples) >= self._limits.batch_samples:
                break
        event_time_ms, self._event_time_ms = self._event_time_ms, None
        if event_time_ms is not None and not batch.chunks:  # whatever was read has ended the idle time
            batch.decisions.extend(join.advance(event_time_ms))
        return batch

    async def _score_all(self, samples: Sequence[Sample]) -> ScoredBatch:
        """Score in slices of at most ``scoring_samples``."""
        scored = ScoredBatch()
        for start in range(0, len(samples), self._limits.scoring_samples):
            part = samples[start : start + self._limits.scoring_samples]
            await self._until_done(STORAGE, partial(self._threads.compute, self._score, part, scored))
        return scored

    def _score(self, samples: Sequence[Sample], scored: ScoredBatch) -> None:
        """Score one slice. Runs in a thread."""
        started = time.perf_counter()
        scores = self._effects.score(samples)
        seconds = time.perf_counter() - started
        offers = self._effects.admit(samples, scores)
        quality = self._effects.tally(samples, scores)
        scored.offers.extend(offers)
        scored.mass += scores.mass
        scored.calls.append(Scored(len(samples), seconds, scores.non_finite))
        for key, counts in quality.items():
            known = scored.quality.get(key)
            scored.quality[key] = counts if known is None else known + counts
        for sketch, block in self._effects.sketch(samples, scores).items():
            scored.sketches[sketch] = scored.sketches[sketch] + block if sketch in scored.sketches else block
        for pair, gains in self._effects.compare(samples, scores).items():
            scored.gains.setdefault(pair, Counter()).update(gains)
        for race, standing in self._effects.race(samples, scores).items():
            scored.race[race] = scored.race[race] + standing if race in scored.race else standing

    def _acknowledge(self, acknowledged: int) -> None:
        while self._unacknowledged and self._unacknowledged[0].end <= acknowledged:
            self._unacknowledged.popleft().acknowledge()

    async def _until_done(self, dependency: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Repeat the attempt while its dependency is unavailable."""

        def report(state: RetryCallState) -> None:
            assert state.outcome is not None
            self._availability.unavailable(dependency, self, str(state.outcome.exception()))
            self.progress_marker += self._availability.is_unavailable(dependency)

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Unavailable), wait=self._limits.wait, before_sleep=report
        )
        result: T = await retrying(attempt)
        self._availability.recovered(dependency, self)
        self.progress_marker += 1
        return result


def _has_moved(before: Progress, after: Progress) -> bool:
    """Return whether there is something to store; event time alone, of an idle partition, need not be."""
    return (before.next, before.acknowledged, before.read) != (after.next, after.acknowledged, after.read)
