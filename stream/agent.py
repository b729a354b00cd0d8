"""The Faust agent: passes each chunk to the worker of its partition, and owns the partition workers.

Thin on purpose. What happens to a chunk is in ``partition_worker.py``; what it means, in ``importance``.
"""

import asyncio
from collections.abc import AsyncIterable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

from importance.attribution import Policy
from stream.offset_tracker import Chunk
from stream.partition_worker import Effects, Limits, PartitionWorker, Publish
from stream.reports import Availability, LagReport
from stream.threads import Threads

_LONGEST_GAP_SECONDS = 5.0  # between two answers of the broker that count as one uninterrupted watch


@dataclass
class _Idle:
    """How long a partition was seen at its end, by answers of the broker that followed each other closely."""

    event_time_ms: int
    seconds: float = 0.0
    seen: float | None = None


class Pipeline:
    """All partition workers of one process.

    ``idle_seconds``: a partition read to its end for so long lets event time run with the wall clock. ``failed`` is
    set to the first exception that a partition worker ended with; the caller ends the process with it.
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
        self._workers: dict[int, PartitionWorker] = {}
        self._tasks: dict[PartitionWorker, asyncio.Task[None]] = {}
        self._idle: dict[int, _Idle] = {}

    async def consume(self, chunks: AsyncIterable[Chunk]) -> None:
        """Run as the body of the Faust agent. After an exception Faust would restart it silently and lose the chunk."""
        try:
            async for chunk in chunks:
                if chunk.live:
                    self._worker_of(chunk).accept(chunk)
        except Exception as error:
            self.fail(error)
            raise

    def _worker_of(self, chunk: Chunk) -> PartitionWorker:
        self._idle.pop(chunk.partition, None)
        worker = self._workers.get(chunk.partition)
        if worker is None or worker.generation != chunk.generation:
            self.drop([chunk.partition])
            worker = PartitionWorker(
                chunk.partition,
                chunk.generation,
                self._policy,
                self._effects,
                self._publish,
                self._limits,
                self.availability,
                self._threads,
            )
            self._workers[chunk.partition] = worker
            task = self._tasks[worker] = asyncio.create_task(worker.run(), name=f"partition {chunk.partition}")
            task.add_done_callback(partial(self._ended, worker))
        return worker

    def _ended(self, worker: PartitionWorker, task: asyncio.Task[None]) -> None:
        del self._tasks[worker]
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End the process because of ``error``."""
        if not self.failed.done():
            self.failed.set_exception(error)

    def drop(self, partitions: Collection[int]) -> None:
        """Forget partitions that were revoked. A thread that still stores for one of them is fenced by the next."""
        for partition in partitions:
            worker = self._workers.pop(partition, None)
            self._idle.pop(partition, None)
            if worker is not None and worker in self._tasks:
                self._tasks[worker].cancel()

    def update_positions(self, positions: Mapping[int, tuple[int, int]], now: float) -> None:
        """Take the broker's answer, partition → (next offset to read, end): report lag, advance idle partitions.

        ``now`` is a monotonic time in seconds.
        """
        lag = {partition: max(0, end - position) for partition, (position, end) in positions.items()}
        held = {partition: worker for partition, worker in self._workers.items() if partition in lag}
        waiting = {partition: worker.waiting for partition, worker in held.items()}
        times = {partition: worker.event_time_ms for partition, worker in held.items()}
        oldest = {partition: worker.oldest_ms for partition, worker in held.items()}
        undecided = {number: behind + self._undecided(number) for number, behind in lag.items()}
        self._effects.report(LagReport(lag, waiting, undecided, _known(times), _known(oldest)))
        for partition, worker in self._workers.items():
            if lag.get(partition) != 0:
                self._idle.pop(partition, None)
            elif worker.wants_time and not worker.has_work:
                self._let_idle(partition, worker, now)

    def _undecided(self, partition: int) -> int:
        worker = self._workers.get(partition)
        return worker.undecided if worker is not None else 0

    def _let_idle(self, partition: int, worker: PartitionWorker, now: float) -> None:
        event_time_ms = worker.event_time_ms
        if event_time_ms is None:
            return
        idle = self._idle.setdefault(partition, _Idle(event_time_ms))
        # Only time between answers that follow each other counts: a pause of broker or worker moves nothing.
        if idle.seen is not None and now - idle.seen <= _LONGEST_GAP_SECONDS:
            idle.seconds += now - idle.seen
        idle.seen = now
        if idle.seconds >= self._idle_seconds:
            worker.advance(idle.event_time_ms + int(idle.seconds * 1000))

    def progress_markers(self) -> dict[str, int]:
        """Return the progress markers of partitions that have work: one that stays the same is stuck."""
        return {
            f"partition {worker.partition}": worker.progress_marker
            for worker in self._workers.values()
            if worker.has_work
        }

    @property
    def busy(self) -> bool:
        """Return whether a thread still runs; the interpreter would wait for it at exit."""
        return self._threads.busy

    async def stop(self, timeout_seconds: float) -> None:
        """Let every worker end its cycle; one that cannot, without storage, is cancelled."""
        for worker in self._workers.values():
            worker.stop()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=timeout_seconds)
        self.close()

    def close(self) -> None:
        """Cancel all workers without waiting."""
        for task in self._tasks.values():
            task.cancel()
        self._threads.close()


def _known(times_ms: Mapping[int, int | None]) -> dict[int, int]:
    return {partition: time_ms for partition, time_ms in times_ms.items() if time_ms is not None}
