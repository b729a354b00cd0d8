"""Offsets without a record: a gap is told of only where the log lost records that were to be read."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient, TopicPartition

from stream import topics
from stream.reports import CommittedBatch, Skipped
from tests.integration.stream.harness import (
    CLOSED_MS,
    FORGOTTEN_MS,
    SHOWN_MS,
    Sandbox,
    Store,
    heartbeat,
    impression,
    running,
)


async def test_a_transaction_marker_where_reading_begins_again_is_no_skipped_record(
    sandbox: Sandbox, store: Store
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=sandbox.bootstrap, transactional_id=sandbox.group)
    await producer.start()
    async with producer.transaction():  # its marker is the partition's last offset
        await producer.send_and_wait(sandbox.topics.interactions, heartbeat(SHOWN_MS), partition=0)
    await producer.stop()
    async with running(sandbox, store) as worker:
        await worker.until(lambda: 0 in store.progress and store.progress[0].acknowledged >= 1)
    sandbox.send([impression(1, FORGOTTEN_MS), heartbeat(2 * FORGOTTEN_MS - SHOWN_MS)])
    async with running(sandbox, store) as again:
        await again.until(lambda: store.decided == 1)
        assert not again.of(Skipped)


async def test_records_that_the_log_lost_before_they_were_read_are_reported_of(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([heartbeat(SHOWN_MS)] * 4)
    async with running(sandbox, store) as worker:
        await worker.until(lambda: store.next() == 4)
        acknowledged = store.progress[0].acknowledged
    sandbox.send([impression(1, SHOWN_MS), impression(2, SHOWN_MS), heartbeat(CLOSED_MS)])
    await asyncio.to_thread(_delete_before, sandbox, 5)
    async with running(sandbox, store) as again:
        await again.until(lambda: store.decided == 1)
        assert again.of(Skipped) == [Skipped(0, acknowledged, 5)]
        assert again.reports.index(again.of(Skipped)[0]) < again.reports.index(again.of(CommittedBatch)[0])
    assert store.ids() == ["view-2"]


@pytest.mark.parametrize("is_committed", [True, False])
async def test_a_partition_that_ends_in_a_marker_is_decided_to_its_end(
    is_committed: bool, sandbox: Sandbox, store: Store
) -> None:
    sandbox.send([heartbeat(SHOWN_MS)])
    producer = AIOKafkaProducer(bootstrap_servers=sandbox.bootstrap, transactional_id=sandbox.group)
    await producer.start()
    async with running(sandbox, store) as worker:
        await worker.until(lambda: store.next() == 1)
        await producer.begin_transaction()
        await producer.send_and_wait(sandbox.topics.interactions, heartbeat(SHOWN_MS), partition=0)
        await (producer.commit_transaction() if is_committed else producer.abort_transaction())
        ends = topics.end_offsets(sandbox.connection, sandbox.topics.interactions)
        assert ends == {0: 3}
        await worker.until(lambda: {0: store.next()} == ends)
        await worker.until(lambda: sandbox.committed() == ends)
    await producer.stop()


async def test_markers_between_records_cost_no_second_fetch(sandbox: Sandbox, store: Store) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=sandbox.bootstrap, transactional_id=sandbox.group)
    await producer.start()
    async with running(sandbox, store) as worker:
        for number in range(20):
            async with producer.transaction():
                await producer.send_and_wait(sandbox.topics.interactions, impression(number, SHOWN_MS), partition=0)
            await worker.until(lambda end=2 * number + 2: store.progress[0].read == end if store.progress else False)
        sandbox.send([heartbeat(CLOSED_MS)])
        await worker.until(lambda: store.decided == 20)
        assert worker.worker.app.consumer.holes == 0
    await producer.stop()


def _delete_before(sandbox: Sandbox, offset: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=sandbox.bootstrap)
    admin.delete_records({TopicPartition(sandbox.topics.interactions, 0): offset})
    admin.close()
