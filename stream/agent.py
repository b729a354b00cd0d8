"""The worker's agent: it hands each chunk to the lane of its partition, and keeps the lanes.

Thin on purpose. What happens to a chunk is in ``lane.py``; what it means, in ``importance``.
"""

import asyncio
from collections.abc import AsyncIterable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from importance.attribution import Policy
from stream.lane import Effects, Lane, Limits, Publish
from stream.ledger import Chunk
from stream.reports import Availability, Standing
from stream.threads import Threads

_LONGEST_GAP_SECONDS = 5.0  # between two answers of the broker that count as one uninterrupted watch


@dataclass
class _Idle:
    """How long a partition was seen at its end, by answers of the broker that followed each other closely."""

    event_time_ms: int
    seconds: float = 0.0
    seen: float | None = None


class Pipeline:
    """All lanes of one worker.

    ``idle_seconds``: a partition read to its end for so long lets event time run with the wall clock. ``failed`` is
    set to the first exception that a lane ended with; whoever runs the worker ends the process with it.
    """

    def __init__(self, policy: Policy, effects: Effects, publish: Publish, limits: Limits, idle_seconds: float) -> None:
        self.availability = Availability(effects.report)
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._policy = policy
        self._effects = effects
        self._publish = publish
        self._limits = limits
        self._idle_seconds = idle_seconds
        self._threads = Threads()
        self._lanes: dict[int, Lane] = {}
        self._tasks: dict[Lane, asyncio.Task[None]] = {}
        self._idle: dict[int, _Idle] = {}

    async def consume(self, chunks: AsyncIterable[Chunk]) -> None:
        """The body of the Faust agent. Faust would restart it silently after an exception, and lose the chunk."""
        try:
            async for chunk in chunks:
                if chunk.live:
                    self._lane(chunk).accept(chunk)
        except Exception as error:
            self.fail(error)
            raise

    def _lane(self, chunk: Chunk) -> Lane:
        self._idle.pop(chunk.partition, None)
        lane = self._lanes.get(chunk.partition)
        if lane is None or lane.generation != chunk.generation:
            self.drop([chunk.partition])
            lane = Lane(
                chunk.partition,
                chunk.generation,
                self._policy,
                self._effects,
                self._publish,
                self._limits,
                self.availability,
                self._threads,
            )
            self._lanes[chunk.partition] = lane
            task = self._tasks[lane] = asyncio.create_task(lane.run(), name=f"partition {chunk.partition}")
            task.add_done_callback(partial(self._ended, lane))
        return lane

    def _ended(self, lane: Lane, task: asyncio.Task[None]) -> None:
        del self._tasks[lane]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Have the process end because of ``error``."""
        if not self.failed.done():
            self.failed.set_exception(error)

    def drop(self, partitions: Collection[int]) -> None:
        """Forget partitions that were revoked. A thread that still stores for one of them is fenced by the next."""
        for partition in partitions:
            lane = self._lanes.pop(partition, None)
            self._idle.pop(partition, None)
            if lane is not None and lane in self._tasks:
                self._tasks[lane].cancel()

    def stand(self, positions: Mapping[int, tuple[int, int]], now: float) -> None:
        """Take the broker's answer: partition → (next offset to read, end); lag is reported, idle partitions go on.

        ``now`` is a monotonic time in seconds.
        """
        lag = {partition: max(0, end - position) for partition, (position, end) in positions.items()}
        held = {partition: lane for partition, lane in self._lanes.items() if partition in lag}
        waiting = {partition: lane.waiting for partition, lane in held.items()}
        times = {partition: lane.event_time_ms for partition, lane in held.items()}
        oldest = {partition: lane.oldest_ms for partition, lane in held.items()}
        undecided = {number: behind + self._undecided(number) for number, behind in lag.items()}
        self._effects.report(Standing(lag, waiting, undecided, _known(times), _known(oldest)))
        for partition, lane in self._lanes.items():
            if lag.get(partition) != 0:
                self._idle.pop(partition, None)
            elif lane.wants_time and not lane.has_work:
                self._let_idle(partition, lane, now)

    def _undecided(self, partition: int) -> int:
        lane = self._lanes.get(partition)
        return lane.undecided if lane is not None else 0

    def _let_idle(self, partition: int, lane: Lane, now: float) -> None:
        event_time_ms = lane.event_time_ms
        if event_time_ms is None:
            return
        idle = self._idle.setdefault(partition, _Idle(event_time_ms))
        # Only time between answers that follow each other counts: a pause of broker or worker moves nothing.
        if idle.seen is not None and now - idle.seen <= _LONGEST_GAP_SECONDS:
            idle.seconds += now - idle.seen
        idle.seen = now
        if idle.seconds >= self._idle_seconds:
            lane.advance(idle.event_time_ms + int(idle.seconds * 1000))

    def beats(self) -> dict[str, int]:
        """The partitions that have work, and the beats of their lanes: one that stays the same is stuck."""
        return {f"partition {lane.partition}": lane.beats for lane in self._lanes.values() if lane.has_work}

    @property
    def busy(self) -> bool:
        """Whether a thread runs still; the interpreter would wait for it when it ends."""
        return self._threads.busy

    async def stop(self, patience_seconds: float) -> None:
        """Let every lane end its turn. One that cannot, as storage is away, is left: it will be read again."""
        for lane in self._lanes.values():
            lane.stop()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=patience_seconds)
        self.close()

    def close(self) -> None:
        """Leave everything as it is, without waiting."""
        for task in self._tasks.values():
            task.cancel()
        self._threads.close()


def _known(times_ms: Mapping[int, int | None]) -> dict[int, int]:
    return {partition: time_ms for partition, time_ms in times_ms.items() if time_ms is not None}
