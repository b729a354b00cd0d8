"""What a real Kafka does to a consumer, each met once and guarded against since: a test each."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer

from importance.errors import Fenced, Unavailable
from importance.flush import Flush
from stream import topics
from stream.partition_worker import Limits
from stream.reports import Change, CommittedBatch, Failed, LagReport, Lost, Skipped
from tests.integration.stream.harness import (
    CLOSED_MS,
    FORGOTTEN_MS,
    POLICY,
    SHOWN_MS,
    Running,
    Sandbox,
    Store,
    heartbeat,
    impression,
    make_sandbox,
    running,
)
from tests.support.waiting import TIMEOUT_SECONDS
from weir.local.kafka import KafkaServer

ROOT = Path(__file__).resolve().parents[3]


async def test_committed_is_the_end_of_what_is_decided_and_forgotten_and_no_more(
    sandbox: Sandbox, store: Store
) -> None:
    sandbox.send([impression(n, SHOWN_MS) for n in range(20)])
    async with running(sandbox, store, commit_interval_seconds=0.05) as worker:
        await worker.until(lambda: bool(worker.of(CommittedBatch)))
        await asyncio.sleep(0.2)  # several commit intervals
        assert sandbox.committed() == {}  # read, but every impression is open
        sandbox.send([heartbeat(CLOSED_MS)])
        await worker.until(lambda: store.decided == 20)
        assert sandbox.committed() == {}  # decided, but their ids are still to be remembered
        sandbox.send([heartbeat(FORGOTTEN_MS)])
        await worker.until(lambda: sandbox.committed() == {0: 22})


async def test_a_rebalance_reads_again_from_the_committed_offset_and_decides_nothing_twice(
    kafka: str, tmp_path: Path, store: Store
) -> None:
    sandbox = make_sandbox(kafka, tmp_path, partitions=2)
    for partition in (0, 1):
        first = partition * 1000
        sandbox.send([impression(n, SHOWN_MS) for n in range(first, first + 30)], partition)
        sandbox.send([heartbeat(CLOSED_MS)], partition)
        sandbox.send([impression(n, CLOSED_MS) for n in range(first + 100, first + 130)], partition)
    async with running(sandbox, store) as one:
        await one.until(lambda: store.decided == 60)
        async with running(replace(sandbox, folder=tmp_path / "two"), store) as two:
            await two.until(
                lambda: len({partition for partition, _ in store.claims}) == 2 and len(two.of(CommittedBatch)) > 0
            )
            for partition in (0, 1):
                sandbox.send([heartbeat(FORGOTTEN_MS)], partition)
            await two.until(lambda: store.decided == 120)
            await two.until(lambda: len(sandbox.committed()) == 2)
        assert await one.end() == 0
    for partition in (0, 1):
        numbers = [*range(30), *range(100, 130)]
        assert store.ids(partition) == [f"view-{partition * 1000 + n}" for n in numbers]
    assert set(store.scored.values()) == {1}
    assert len(store.claims) > 2  # each assignment claimed again


@pytest.mark.parametrize("stored", [None, dict], ids=["by the group", "by the store"])
async def test_a_fetch_that_a_rebalance_made_stale_is_fetched_again_even_at_the_start(
    stored: Callable[[], dict[int, int]] | None, sandbox: Sandbox, store: Store
) -> None:
    """Nothing is committed yet, so no committed offset takes the position back."""
    sent = 0
    async with running(sandbox, store, beginnings=stored) as worker:
        await worker.until(lambda: bool(worker.of(LagReport)))
        consumer = worker.worker.app.consumer
        while not consumer.stale_fetches:  # until a fetch was under way when its tracker went
            consumer._drop(list(consumer.trackers))
            sandbox.send([impression(sent, SHOWN_MS)])
            sent += 1
            await asyncio.sleep(0.2)
            if not consumer.stale_fetches:
                await consumer.perform_seek()
        await consumer.perform_seek()
        sandbox.send([heartbeat(CLOSED_MS)])
        await worker.until(lambda: store.decided >= sent)
    assert store.ids() == [f"view-{n}" for n in range(sent)]
    assert not worker.of(Skipped)


async def test_a_fetch_that_arrives_while_the_flow_rests_is_fetched_again_though_nothing_more_comes(
    sandbox: Sandbox, store: Store
) -> None:
    async with running(sandbox, store) as worker:
        await worker.until(lambda: bool(worker.of(LagReport)))
        consumer = worker.worker.app.consumer
        sent = 0
        while not consumer.stale_fetches:  # until a fetch was under way when the flow was stopped
            consumer.stop_flow()
            sandbox.send([impression(sent, SHOWN_MS), heartbeat(CLOSED_MS + sent)])
            sent += 1
            await asyncio.sleep(0.2)
            if not consumer.stale_fetches:
                consumer.resume_flow()
                await worker.until(lambda end=2 * sent: store.next() == end)
        consumer.resume_flow()
        await worker.until(lambda: store.next() == 2 * sent)
    assert not worker.of(Skipped)


async def test_a_full_partition_is_not_fetched_and_the_others_are(kafka: str, tmp_path: Path, store: Store) -> None:
    sandbox = make_sandbox(kafka, tmp_path, partitions=2)
    blocked, release = threading.Event(), threading.Event()

    def persist(flush: Flush) -> None:
        if flush.partition == 0:
            blocked.set()
            assert release.wait(TIMEOUT_SECONDS)
        store.persist(flush)

    sandbox.send([heartbeat(SHOWN_MS)] * 600)
    limits = Limits(batch_records=10)
    changes = {"max_poll_records": 10, "max_undecoded_records": 30}
    async with running(sandbox, store, limits, release, persist=persist, **changes) as worker:
        await worker.until(blocked.is_set)
        sandbox.send([impression(1, SHOWN_MS), heartbeat(CLOSED_MS)], partition=1)
        await worker.until(lambda: store.decided == 1)
        (held,) = [tracker for tracker in worker.worker.app.consumer.trackers.values() if tracker.tp.partition == 0]
        assert 30 <= held.undecoded_records < 30 + 10
        release.set()
        await worker.until(lambda: store.next() == 600)


async def test_what_is_fetched_is_bounded_in_bytes_however_well_it_was_compressed(
    kafka: str, tmp_path: Path, store: Store
) -> None:
    sandbox = make_sandbox(kafka, tmp_path, partitions=2)
    padding = b', "padding": "' + b"x" * 900_000 + b'"}'
    for partition in (0, 1):
        shown = [impression(100 * partition + number, SHOWN_MS)[:-1] + padding for number in range(100)]
        sandbox.send([*shown, heartbeat(CLOSED_MS)], partition, compression_type="gzip")
    bound = 16 * 2**20
    held: list[int] = []
    store.unavailable.set()
    async with running(sandbox, store, max_fetched_bytes=bound) as worker:
        trackers = worker.worker.app.consumer.trackers

        def all_full() -> bool:
            sizes = [tracker.undecoded_bytes for tracker in trackers.values()]
            held.append(sum(sizes))
            return len(sizes) == 2 and min(sizes) >= bound // 4

        await worker.until(all_full)
        store.unavailable.clear()
        await worker.until(lambda: store.decided == 200)
    assert bound // 2 <= max(held) <= bound


async def test_with_every_partition_full_nothing_is_fetched(sandbox: Sandbox, store: Store) -> None:
    """An empty set of partitions would mean all of them to aiokafka."""
    sandbox.send([heartbeat(SHOWN_MS)] * 100)
    store.unavailable.set()
    async with running(sandbox, store, max_poll_records=10, max_undecoded_records=10) as worker:
        await worker.until(lambda: bool(worker.of(Change)))
        (tracker,) = worker.worker.app.consumer.trackers.values()
        calls = store.calls
        await worker.until(lambda: store.calls > calls + 2)
        assert tracker.undecoded_records == 10
        store.unavailable.clear()
        await worker.until(lambda: store.next() == 100)


async def test_a_member_that_is_full_for_longer_than_the_poll_interval_stays_in_its_group(
    sandbox: Sandbox, store: Store
) -> None:
    sandbox.send([heartbeat(SHOWN_MS)] * 100)
    store.unavailable.set()
    worker = Running(sandbox, store, max_poll_records=10, max_undecoded_records=10)
    worker.worker.app.conf.broker_max_poll_interval = 2.0
    await worker.until(lambda: bool(worker.of(Change)))
    await asyncio.sleep(5)  # twice the interval in which somebody has to poll
    store.unavailable.clear()
    await worker.until(lambda: store.next() == 100)
    assert len(store.claims) == 1  # one assignment: it never left
    assert await worker.end() == 0


async def test_static_membership_has_a_restarted_worker_keep_its_partitions(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([impression(1, SHOWN_MS)])
    for attempt in (1, 2):
        async with running(sandbox, store, instance_id="worker-0") as worker:
            await worker.until(lambda attempt=attempt: len(store.claims) == attempt)
            await worker.until(lambda worker=worker: bool(worker.of(CommittedBatch)))
    assert worker.worker.app.conf.consumer_group_instance_id == "worker-0"


async def test_a_broker_that_goes_and_comes_back_is_survived_and_told_once_each(
    own_kafka: KafkaServer, tmp_path: Path, store: Store
) -> None:
    sandbox = make_sandbox(own_kafka.bootstrap, tmp_path)
    stored, go_on = threading.Event(), threading.Event()

    def persist(flush: Flush) -> None:
        store.persist(flush)
        stored.set()
        assert go_on.wait(TIMEOUT_SECONDS)

    sandbox.send([impression(1, SHOWN_MS), heartbeat(CLOSED_MS), heartbeat(FORGOTTEN_MS)])
    async with running(sandbox, store, gate=go_on, persist=persist, max_poll_records=2) as worker:
        await worker.until(stored.is_set)
        await asyncio.to_thread(own_kafka.kill)
        go_on.set()  # something to acknowledge and to commit, while nobody is there to take it
        await worker.until(lambda: "kafka" in worker.worker.unavailable)
        await asyncio.to_thread(own_kafka.start)
        await worker.until(lambda: not worker.worker.unavailable)
        await asyncio.to_thread(sandbox.send, [impression(2, FORGOTTEN_MS), heartbeat(FORGOTTEN_MS + 60_000)])
        await worker.until(lambda: store.decided == 2)
        await worker.until(lambda: sandbox.committed()[0] >= 2)
        assert [change.available for change in worker.of(Change) if change.dependency == "kafka"] == [False, True]
    assert store.ids() == ["view-1", "view-2"]
    assert set(store.scored.values()) == {1}


async def test_a_broker_that_is_away_at_the_start_is_said_at_once(sandbox: Sandbox, store: Store) -> None:
    nowhere = replace(sandbox, bootstrap="127.0.0.1:1")
    worker = Running(nowhere, store)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1 does not answer"):
        await asyncio.wait_for(worker.task, TIMEOUT_SECONDS)


async def test_a_topic_that_is_made_later_is_taken_up(kafka: str, tmp_path: Path, store: Store) -> None:
    sandbox = make_sandbox(kafka, tmp_path, create=False)
    async with running(sandbox, store) as worker:
        await worker.until(lambda: worker.worker.app.started)
        await asyncio.to_thread(topics.provision, sandbox.connection, topics.planned(sandbox.topics, 1, 1))
        await asyncio.to_thread(sandbox.send, [impression(1, SHOWN_MS), heartbeat(CLOSED_MS)])
        await worker.until(lambda: store.decided == 1)


async def test_an_exception_ends_the_worker_with_70_and_commits_nothing_past_it(sandbox: Sandbox, store: Store) -> None:
    def persist(flush: Flush) -> None:
        if flush.progress.next > 5:
            raise ZeroDivisionError("a bug")
        store.persist(flush)

    sandbox.send([impression(1, SHOWN_MS), heartbeat(FORGOTTEN_MS), heartbeat(FORGOTTEN_MS)])
    async with running(sandbox, store, persist=persist, max_poll_records=1) as worker:  # a chunk each
        await worker.until(lambda: sandbox.committed() == {0: 3})
        sandbox.send([impression(n, FORGOTTEN_MS) for n in range(2, 7)] + [heartbeat(2 * FORGOTTEN_MS - SHOWN_MS)])
        assert await asyncio.wait_for(worker.task, TIMEOUT_SECONDS) == 70
    (failed,) = worker.of(Failed)
    assert isinstance(failed.error, ZeroDivisionError)
    assert sandbox.committed() == {0: 3}
    async with running(sandbox, store) as again:
        await again.until(lambda: store.decided == 6)
    assert store.ids() == [f"view-{n}" for n in range(1, 7)]


async def test_a_failure_of_the_agent_itself_ends_the_worker_too(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([impression(1, SHOWN_MS)])
    worker = Running(sandbox, store)
    worker.worker.pipeline.drop = None  # type: ignore[assignment]  # any bug in the agent's body
    assert await asyncio.wait_for(worker.task, TIMEOUT_SECONDS) == 70


async def test_work_that_hangs_ends_the_worker_with_70(sandbox: Sandbox, store: Store) -> None:
    hang = threading.Event()

    def persist(flush: Flush) -> None:
        assert hang.wait(120)
        raise Fenced("the test is over")

    sandbox.send([impression(1, SHOWN_MS), heartbeat(CLOSED_MS)])
    worker = Running(sandbox, store, persist=persist, watchdog_seconds=2.0, grace_seconds=3_600.0)
    try:
        assert await asyncio.wait_for(worker.task, TIMEOUT_SECONDS) == 70
        assert "partition 0 has not moved for 2 s" in str(worker.of(Failed)[0].error)
    finally:
        hang.set()


async def test_a_stopped_worker_has_committed_all_that_it_acknowledged(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([impression(1, SHOWN_MS), heartbeat(FORGOTTEN_MS)])
    async with running(sandbox, store, commit_interval_seconds=3_600.0, max_poll_records=1) as worker:
        await worker.until(lambda: 0 in store.progress and store.progress[0].acknowledged == 2)
        assert await worker.end() == 0
    assert sandbox.committed() == {0: 2}


async def test_one_who_lost_the_partition_without_knowing_stores_nothing_and_says_so(
    sandbox: Sandbox, store: Store
) -> None:
    sandbox.send([impression(1, SHOWN_MS)])
    async with running(sandbox, store) as worker:
        await worker.until(lambda: bool(worker.of(CommittedBatch)))
        store.claim(0, generation=1_000)  # another worker took it over
        sandbox.send([heartbeat(CLOSED_MS)])
        await worker.until(lambda: bool(worker.of(Lost)))
        assert store.decided == 0
        assert not worker.task.done()
        assert sandbox.committed() == {}


async def test_a_store_that_goes_and_comes_back_loses_and_doubles_nothing(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([impression(n, SHOWN_MS) for n in range(10)])
    async with running(sandbox, store) as worker:
        await worker.until(lambda: bool(worker.of(CommittedBatch)))
        store.unavailable.set()
        sandbox.send([heartbeat(FORGOTTEN_MS)])
        await worker.until(lambda: "storage" in worker.worker.unavailable)
        calls = store.calls
        await worker.until(lambda: store.calls > calls + 2)
        assert sandbox.committed() == {}
        store.unavailable.clear()
        await worker.until(lambda: sandbox.committed() == {0: 11})
        assert [change.available for change in worker.of(Change)] == [False, True]
    assert store.ids() == [f"view-{n}" for n in range(10)]


async def test_a_flush_whose_commit_was_unclear_is_given_again_and_stored_once(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([impression(n, SHOWN_MS) for n in range(10)] + [heartbeat(FORGOTTEN_MS)])
    store.unclear_commits = 2
    async with running(sandbox, store, max_poll_records=1) as worker:
        await worker.until(lambda: sandbox.committed() == {0: 11})
    assert store.ids() == [f"view-{n}" for n in range(10)]
    assert set(store.scored.values()) == {1}


async def test_an_idle_partition_lets_event_time_run_with_the_wall_clock(sandbox: Sandbox, store: Store) -> None:
    policy = type(POLICY)(window_ms=2_000, deduplication_ms=1_000)
    sandbox.send([impression(1, SHOWN_MS)])
    async with running(sandbox, store, policy=policy, idle_seconds=1.0) as worker:
        await worker.until(lambda: store.decided == 1)
        await worker.until(lambda: sandbox.committed() == {0: 1})


async def test_the_marks_of_transactions_hide_neither_the_end_of_a_partition_nor_records_behind_them(
    sandbox: Sandbox, store: Store
) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=sandbox.bootstrap, transactional_id=sandbox.group)
    await producer.start()
    policy = type(POLICY)(window_ms=2_000, deduplication_ms=1_000)
    async with running(sandbox, store, policy=policy, idle_seconds=1.0) as worker:
        for number in range(3):  # each transaction ends with a mark, at an offset that no record has
            async with producer.transaction():
                await producer.send_and_wait(sandbox.topics.interactions, impression(number, SHOWN_MS), partition=0)
        await worker.until(lambda: store.decided == 3)  # by idling: the end was seen behind the last mark
        await worker.until(lambda: sandbox.committed() == {0: 6})  # the last mark, too
        assert worker.of(LagReport)[-1].lag == {0: 0}
    await producer.stop()


async def test_what_a_transaction_aborted_is_never_scored(sandbox: Sandbox, store: Store) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=sandbox.bootstrap, transactional_id=sandbox.group)
    await producer.start()
    for number, is_committed in enumerate((True, False, True, False)):
        await producer.begin_transaction()
        await producer.send_and_wait(sandbox.topics.interactions, impression(number, SHOWN_MS), partition=0)
        await (producer.commit_transaction() if is_committed else producer.abort_transaction())
    await producer.stop()
    policy = type(POLICY)(window_ms=2_000, deduplication_ms=1_000)
    async with running(sandbox, store, policy=policy, idle_seconds=1.0) as worker:
        await worker.until(lambda: store.decided == 2)
        await worker.until(lambda: worker.of(LagReport)[-1].lag == {0: 0})
    assert store.ids() == ["view-0", "view-2"]


async def test_a_partition_that_is_not_idle_for_long_enough_keeps_waiting(sandbox: Sandbox, store: Store) -> None:
    policy = type(POLICY)(window_ms=1_000, deduplication_ms=1_000)
    sandbox.send([impression(1, SHOWN_MS)])
    async with running(sandbox, store, policy=policy, idle_seconds=3_600.0) as worker:
        await worker.until(lambda: bool(worker.of(CommittedBatch)))
        await asyncio.sleep(3)
        assert store.decided == 0


def test_importing_and_building_an_application_starts_nothing_and_writes_nothing(tmp_path: Path) -> None:
    code = """
import os, sys, threading
from pathlib import Path
from stream.app import StreamSettings, create_app
from stream.connection import KafkaConnection
app = create_app(StreamSettings(KafkaConnection("127.0.0.1:1"), "group", Path(sys.argv[1]) / "faust"))
assert threading.active_count() == 1, threading.enumerate()
assert os.listdir(sys.argv[1]) == []
assert not app.conf.web_enabled and app.conf.topic_disable_leader and not app.conf.topic_allow_declare
assert not app.conf.stream_wait_empty and app.conf.producer_acks == -1
assert app.conf.broker_session_timeout <= app.conf.broker_request_timeout
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
