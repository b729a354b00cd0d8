"""The worker on a real broker: what is decided, what is committed, and what survives."""

from stream.partition_worker import Limits
from stream.reports import CommittedBatch
from tests.integration.stream.harness import (
    CLOSED_MS,
    FORGOTTEN_MS,
    SHOWN_MS,
    Sandbox,
    Store,
    click,
    heartbeat,
    impression,
    running,
)


async def test_what_is_sent_is_joined_scored_published_and_remembered_in_order(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([impression(n, SHOWN_MS + n) for n in range(50)] + [click(7, SHOWN_MS + 100), heartbeat(CLOSED_MS)])
    async with running(sandbox, store) as worker:
        await worker.until(lambda: store.decided == 50)
        assert await worker.end() == 0
    assert store.ids() == [f"view-{n}" for n in range(50)]
    assert [sample.id for sample in store.samples[0] if sample.actions] == ["view-7"]
    assert {record.key for record in sandbox.read(sandbox.topics.importance)} == {
        f"view-{n}".encode() for n in range(50)
    }
    assert set(store.scored.values()) == {1}


async def test_what_one_record_decides_is_scored_in_slices_and_stored_at_once(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([*(impression(n, SHOWN_MS) for n in range(900)), heartbeat(FORGOTTEN_MS)])
    async with running(sandbox, store, Limits(scoring_samples=400)) as worker:
        await worker.until(lambda: store.decided == 900)
        await worker.until(lambda: sum(len(batch.offers) for batch in worker.of(CommittedBatch)) == 900)
        (batch,) = [batch for batch in worker.of(CommittedBatch) if batch.offers]
    assert [scored.samples for scored in batch.scored] == [400, 400, 100]


async def test_chunks_that_queue_up_are_merged_into_one_turn(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([heartbeat(SHOWN_MS)] * 100)
    store.unavailable.set()
    async with running(sandbox, store, max_poll_records=10) as worker:
        await worker.until(lambda: "storage" in worker.worker.unavailable)
        (tracker,) = worker.worker.app.consumer.trackers.values()
        await worker.until(lambda: tracker.end == 100)
        store.unavailable.clear()
        await worker.until(lambda: store.next() == 100)
        await worker.until(lambda: sum(sum(batch.counts.values()) for batch in worker.of(CommittedBatch)) == 100)
        assert len(worker.of(CommittedBatch)) == 1
