"""Run the steps of a worker one after the other in one thread, to measure each of them alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer

from benchmarks._meter import Meter, Task
from importance.attribution import Decisions, Join, Progress
from importance.events import decode
from importance.flush import Flush
from importance.scores import Scores
from monitoring.metrics import DependencyMetrics, WorkerMetrics, new_registry
from storage.engine import create_engine
from stream.app import StreamSettings
from stream.clients import async_consumer, async_producer
from stream.partition_worker import Effects, Limits
from stream.publishing import Publisher
from stream.reports import CommittedBatch
from stream.topics import topic_id
from weir.roles.reporting import Reporting
from weir.settings import Settings, values


def effects_of(task: Task) -> Effects:
    """Return the effects of a worker, without a model."""
    from weir.roles.worker import effects  # loads torch, which the other contestants do not need

    return effects(
        Settings(),
        create_engine(task.database_url, pool_size=10),
        topic_id(task.kafka, task.topics.interactions),
        lambda samples: Scores.uniform(len(samples)),
        Reporting(WorkerMetrics(new_registry()), DependencyMetrics(new_registry(), ())),
    )


@dataclass
class _Partition:
    """One partition: its join, and the decisions since its last batch."""

    partition: int
    epoch: int
    join: Join
    decided: Decisions = field(init=False)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.next, self.decided = self.join.progress.next, Decisions(self.join.progress)

    def read(self, records: Sequence[Any], meter: Meter) -> None:
        """Decode twice: alone, and within the join, as the worker does."""
        with meter.step("decode"):
            for record in records:
                decode(record.value, record.timestamp)
        with meter.step("decode and join"):
            rows = [(record.offset, record.timestamp, record.value) for record in records]
            self.decided.extend(self.join.feed(records[0].offset, records[-1].offset + 1, rows))

    async def process(self, does: Effects, publisher: Publisher, meter: Meter) -> None:
        """Make what was decided durable."""
        decided = self.decided
        with meter.step("score"):
            scores = does.score(decided.samples)
        with meter.step("admit"):
            offers = does.admit(decided.samples, scores)
        with meter.step("count predictions"):
            quality = does.tally(decided.samples, scores)
        with meter.step("publish"):
            await publisher.publish(offers, [])
        with meter.step("persist"):
            late, samples = decided.corrections, len(offers)
            does.persist(Flush(self.partition, self.epoch, self.next, decided.progress, offers, late, quality, samples))
        with meter.step("report"):
            does.report(CommittedBatch(self.partition, decided.counts, offers, len(late), [], []))
        self.restart()


async def step_by_step(task: Task, meter: Meter) -> None:
    """Read as the worker does, in batches of the same size."""
    names, does = task.topics, effects_of(task)
    consumer = async_consumer(task.kafka, names.interactions, group_id=task.group, auto_offset_reset="earliest")
    producer = async_producer(task.kafka, max_batch_size=1 << 19)
    await consumer.start()
    await producer.start()

    async def started() -> AIOKafkaProducer:
        return producer

    publisher = Publisher(started, names.importance, names.dead)
    workers: dict[int, _Partition] = {}
    while not meter.done.is_set():
        with meter.step("fetch"):
            fetched = await consumer.getmany(timeout_ms=1_000, max_records=StreamSettings.max_poll_records)
        for tp, records in fetched.items():
            if tp.partition not in workers:
                epoch, _ = does.claim(tp.partition, 1)
                join = Join(values.join(Settings()), tp.partition, Progress.beginning(records[0].offset))
                workers[tp.partition] = _Partition(tp.partition, epoch, join)
            worker = workers[tp.partition]
            worker.read(records, meter)
            if len(worker.decided.samples) >= Limits.batch_samples:
                await worker.process(does, publisher, meter)
            meter.count(len(records))
    await consumer.stop()
    await producer.stop()
