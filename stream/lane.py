"""One partition's way in one generation: chunks in, durable effects out, strictly in offset order.

A lane holds the join of its partition and walks the same path again and again: feed what was fetched to the join,
score what that decided, publish, remember, report, acknowledge. Nothing is acknowledged before it is durable. What
is slow runs in threads; the event loop only waits.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from importance.attribution import BEGINNING_OF_TIME_MS, Decisions, Join, Policy, Progress
from importance.errors import Fenced, Unavailable
from importance.flush import Flush
from importance.quality import CountKey, Counts
from importance.sample import Sample
from importance.scores import Offer, Scores
from stream.dead_letters import DeadLetter, is_backfill
from stream.ledger import Chunk
from stream.reports import KAFKA, STORAGE, Availability, Lost, Report, Scored, Skipped, Turn
from stream.threads import Threads

T = TypeVar("T")
Publish = Callable[[Sequence[Offer], Sequence[DeadLetter]], Awaitable[None]]


@dataclass(frozen=True)
class Effects:
    """What a lane needs of the rest of the world. All but ``report`` may block, and run in threads.

    ``claim(partition, generation)`` gives the epoch and the progress stored, None for a new partition.
    ``tally`` turns scored samples into quality counts. ``remember`` stores a flush, once, however often it is given.
    They raise :class:`Unavailable` to be called again with the same arguments, :class:`Fenced` to end the lane;
    anything else ends the process.

    ``beginnings`` gives partition → the offset at which reading begins, by what is stored; a partition that is missing
    is read from its start. What the group committed may be that of another store, or of a topic of the same name that
    was deleted; it is where reading begins only without ``beginnings``. ``clock`` gives the seconds since the epoch,
    past which no record moves event time far.
    """

    claim: Callable[[int, int], tuple[int, Progress | None]]
    score: Callable[[Sequence[Sample]], Scores]
    admit: Callable[[Sequence[Sample], Scores], Sequence[Offer]]
    tally: Callable[[Sequence[Sample], Scores], Mapping[CountKey, Counts]]
    remember: Callable[[Flush], None]
    report: Callable[[Report], None]
    beginnings: Callable[[], Mapping[int, int]] | None = None
    clock: Callable[[], float] = time.time


@dataclass(frozen=True)
class Limits:
    """How much is done in one step, and how long a lane waits before it tries again.

    What lies ready is merged until a turn has ``turn_samples`` decided or ``turn_records`` read: the round trips of a
    turn to Kafka and Postgres cost the same for one sample as for thousands. The scorer gets at most ``batch_samples``
    at once; between two batches another lane, or a new model, comes in. Retries wait from ``retry_seconds`` on,
    doubling up to ``retry_most_seconds``.
    """

    batch_samples: int = 1_000
    turn_samples: int = 4_000
    turn_records: int = 20_000
    retry_seconds: float = 0.1
    retry_most_seconds: float = 5.0

    def delays(self) -> Iterator[float]:
        """The waits before each further attempt.

        >>> list(itertools.islice(Limits().delays(), 8))
        [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
        """
        return (
            min(self.retry_seconds * 2 ** min(attempt, 30), self.retry_most_seconds) for attempt in itertools.count()
        )


@dataclass
class Batch:
    """What one turn read and decided, merged over chunks."""

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
class Worth:
    """What scoring made of a batch's samples."""

    offers: list[Offer] = field(default_factory=list)
    quality: dict[CountKey, Counts] = field(default_factory=dict)
    scored: list[Scored] = field(default_factory=list)


class Lane:
    """The work on one partition in one generation.

    ``beats`` grows with every step that went on. A retry alone changes nothing and does not count, but while the
    dependency itself is unavailable, which a probe tells: then waiting is all there is to do. Work that lies there
    while ``beats`` stays the same is a hang, or refused for ever.
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
        self.beats = 0
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
        """Impressions whose window is open."""
        return self._join.waiting if self._join is not None else 0

    @property
    def undecided(self) -> int:
        """Offsets that were read and are not decided: the oldest impression that waits, and all behind it."""
        if self._join is None:  # not opened, or lost: nothing is decided of what lies here
            return self._queue[-1].end - self._queue[0].first if self._queue else 0
        return max(0, (self._end or 0) - self._join.progress.next)

    @property
    def event_time_ms(self) -> int | None:
        """How far the partition's event time got; None before its first record was read."""
        if self._join is None or self._join.event_time_ms == BEGINNING_OF_TIME_MS:
            return None
        return self._join.event_time_ms

    @property
    def oldest_ms(self) -> int | None:
        """The own time of the impression that is decided next; None when none waits."""
        return self._join.oldest_ms if self._join is not None else None

    @property
    def has_work(self) -> bool:
        """Whether something is to be done, or being done, that is not durable yet."""
        return self._busy or bool(self._queue) or self._event_time_ms is not None

    @property
    def wants_time(self) -> bool:
        """Whether something was read that only the passing of event time lets go."""
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
        """Let event time run to ``event_time_ms``: nothing more is to be read, and the wall clock goes on."""
        self._event_time_ms = event_time_ms
        self._called.set()

    def stop(self) -> None:
        """End after the turn that is under way."""
        self._stopping = True
        self._called.set()

    async def run(self) -> None:
        """Work until stopped, cancelled or fenced; any other exception is for the process to end with."""
        try:
            while await self._work_came():
                self._busy = True
                await self._turn(await self._opened())
                self.beats += 1
                self._busy = False
        except Fenced as error:
            # Another worker's now. What is still delivered stays untouched; Kafka will revoke the partition, and
            # should it not, the watchdog sees that chunks lie here and nothing moves.
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
        """The join, made at the first chunk: reading begins at what the last owner acknowledged."""
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

    async def _turn(self, join: Join) -> None:
        """One step: everything from the bytes to the acknowledgement."""
        before = join.progress
        arrived = self._arrivals[0] if self._arrivals else time.monotonic()
        batch = await self._threads.compute(self._read, join)
        for chunk in batch.chunks:
            chunk.release()
        self._unacknowledged.extend(batch.chunks)
        decisions = batch.decisions
        corrections = decisions.corrections
        worth = await self._weigh(decisions.samples)
        if worth.offers or batch.letters:
            await self._until_done(KAFKA, partial(self._publish, worth.offers, batch.letters))
        if corrections or _has_moved(before, decisions.progress):
            flush = Flush(
                partition=self.partition,
                epoch=self._epoch,
                old_next=before.next,
                progress=decisions.progress,
                offers=worth.offers,
                corrections=corrections,
                quality=worth.quality,
                samples=len(decisions.samples),
            )
            await self._until_done(STORAGE, partial(self._threads.store, self._effects.remember, flush))
        if batch.chunks or worth.offers or corrections:
            dead = [letter.reason for letter in batch.letters]
            self._effects.report(
                Turn(
                    self.partition, decisions.counts, worth.offers, len(corrections), dead, worth.scored,
                    time.monotonic() - arrived, decisions.late,
                )
            )  # fmt: skip
        self._acknowledge(decisions.progress.acknowledged)

    def _read(self, join: Join) -> Batch:
        """Feed the join until the turn is full or nothing is left to read. Runs in a thread."""
        batch = Batch(Decisions(join.progress))
        while self._queue and batch.records < self._limits.turn_records:
            self._arrivals.popleft()
            chunk = self._queue.popleft()
            records = [(record.offset, record.timestamp, record.value) for record in chunk.records]
            backfill = {record.offset for record in chunk.records if record.headers and is_backfill(record.headers)}
            wall_ms = int(self._effects.clock() * 1_000)
            batch.add(chunk, join.feed(chunk.first, chunk.end, records, wall_ms, backfill))
            if len(batch.decisions.samples) >= self._limits.turn_samples:
                break
        event_time_ms, self._event_time_ms = self._event_time_ms, None
        if event_time_ms is not None and not batch.chunks:  # whatever was read has ended the idling
            batch.decisions.extend(join.advance(event_time_ms))
        return batch

    async def _weigh(self, samples: Sequence[Sample]) -> Worth:
        """Score in batches."""
        worth = Worth()
        for start in range(0, len(samples), self._limits.batch_samples):
            part = samples[start : start + self._limits.batch_samples]
            await self._until_done(STORAGE, partial(self._threads.compute, self._score, part, worth))
        return worth

    def _score(self, samples: Sequence[Sample], worth: Worth) -> None:
        """Score one slice. Runs in a thread."""
        began = time.perf_counter()
        scores = self._effects.score(samples)
        seconds = time.perf_counter() - began
        offers = self._effects.admit(samples, scores)
        quality = self._effects.tally(samples, scores)
        worth.offers.extend(offers)
        worth.scored.append(Scored(len(samples), seconds, scores.non_finite))
        for key, counts in quality.items():
            known = worth.quality.get(key)
            worth.quality[key] = counts if known is None else known + counts

    def _acknowledge(self, acknowledged: int) -> None:
        while self._unacknowledged and self._unacknowledged[0].end <= acknowledged:
            self._unacknowledged.popleft().acknowledge()

    async def _until_done(self, dependency: str, attempt: Callable[[], Awaitable[T]]) -> T:
        """Try the same again while its dependency is away."""
        for delay in self._limits.delays():
            try:
                result = await attempt()
            except Unavailable as error:
                self._availability.away(dependency, self, str(error))
                self.beats += self._availability.unavailable(dependency)
                await asyncio.sleep(delay)
            else:
                self._availability.back(dependency, self)
                self.beats += 1
                return result
        raise AssertionError("the delays never end")


def _has_moved(before: Progress, after: Progress) -> bool:
    """Whether there is something to store; event time alone, of an idle partition, need not be."""
    return (before.next, before.acknowledged, before.read) != (after.next, after.acknowledged, after.read)
