"""Topics are made once, checked ever after, and distinguished by the id that the cluster gave them."""

import dataclasses
from pathlib import Path

import pytest
from confluent_kafka import Producer
from kafka import KafkaAdminClient

from importance.errors import InvalidInput, NotFound, Unavailable
from stream import topics
from stream.connection import KafkaConnection
from stream.recorded_topic import records_from_topic
from tests.integration.stream.harness import SHOWN_MS, Sandbox, Store, heartbeat, make_sandbox, running
from tests.support.waiting import until


def test_missing_topics_are_made_as_planned_and_then_found_without_difference(kafka: str, tmp_path: Path) -> None:
    sandbox = make_sandbox(kafka, tmp_path, create=False)
    plans = topics.planned(sandbox.topics, partitions=3, replication=1)
    missing = topics.check(KafkaConnection(kafka), plans)
    assert [(state.id, state.differences) for state in missing] == [
        (None, (f"{plan.name} is missing",)) for plan in plans
    ]
    made = topics.provision(KafkaConnection(kafka), plans)
    assert [(state.created, state.differences) for state in made] == [(True, ())] * 4
    again = topics.provision(KafkaConnection(kafka), plans)
    assert [(state.created, state.differences) for state in again] == [(False, ())] * 4
    assert [state.id for state in again] == [state.id for state in made]


def test_an_existing_topic_that_differs_is_reported_and_not_altered(sandbox: Sandbox) -> None:
    plans = topics.planned(sandbox.topics, partitions=2, replication=3)
    for _ in range(2):
        states = {state.name: state for state in topics.provision(sandbox.connection, plans)}
        assert states[sandbox.topics.interactions].differences == (
            f"{sandbox.topics.interactions} has 1 partitions, not 2",
            f"{sandbox.topics.interactions} has 1 replicas, not 3",
        )
    assert topics.end_offsets(sandbox.connection, sandbox.topics.interactions) == {0: 0}


def test_the_topic_of_models_is_compacted_and_a_wrong_policy_is_told(sandbox: Sandbox) -> None:
    (plan,) = [plan for plan in topics.planned(sandbox.topics, 1, 1) if plan.name == sandbox.topics.models]
    other = dataclasses.replace(plan, config={"cleanup.policy": "delete"})
    (state,) = topics.check(sandbox.connection, [other])
    assert state.differences == (f"{plan.name} has cleanup.policy=compact, not delete",)


def test_partitions_are_added_only_when_asked_for(sandbox: Sandbox) -> None:
    topics.add_partitions(sandbox.connection, sandbox.topics.interactions, 3)
    assert topics.end_offsets(sandbox.connection, sandbox.topics.interactions) == {0: 0, 1: 0, 2: 0}
    with pytest.raises(InvalidInput, match="cannot have 2 partitions: give more than it has now"):
        topics.add_partitions(sandbox.connection, sandbox.topics.interactions, 2)
    with pytest.raises(NotFound, match="topic nowhere does not exist"):
        topics.add_partitions(sandbox.connection, "nowhere", 2)


def test_a_topic_made_again_has_another_id(sandbox: Sandbox) -> None:
    before = topics.topic_id(sandbox.connection, sandbox.topics.importance)
    assert topics.topic_id(sandbox.connection, sandbox.topics.importance) == before
    admin = KafkaAdminClient(bootstrap_servers=sandbox.bootstrap)
    admin.delete_topics([sandbox.topics.importance])
    admin.close()
    topics.provision(sandbox.connection, topics.planned(sandbox.topics, 1, 1))
    assert topics.topic_id(sandbox.connection, sandbox.topics.importance) != before


def test_asking_for_a_topic_that_is_not_there_says_so_and_makes_none(kafka: str) -> None:
    for ask in (topics.topic_id, topics.end_offsets):
        with pytest.raises(NotFound, match="topic nowhere does not exist: create it with weir topics"):
            ask(KafkaConnection(kafka), "nowhere")


def test_a_topic_ends_where_a_transaction_is_open_and_no_reader_waits_for_it(sandbox: Sandbox) -> None:
    sandbox.send([b"0", b"1"])
    producer = Producer({"bootstrap.servers": sandbox.bootstrap, "transactional.id": sandbox.group})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(sandbox.topics.interactions, b"2", partition=0)
    assert producer.flush(30) == 0
    sandbox.send([b"3"])  # behind the transaction, and not to be read before it
    assert topics.end_offsets(sandbox.connection, sandbox.topics.interactions) == {0: 2}
    recorded = records_from_topic(sandbox.connection, sandbox.topics.interactions)
    assert [record.value for record in recorded] == [b"0", b"1"]
    producer.abort_transaction(30)
    # The coordinator answers before the partition has the marker, which is the fifth record.
    until(
        "the end of the transaction",
        lambda: topics.end_offsets(sandbox.connection, sandbox.topics.interactions) == {0: 5},
    )
    recorded = records_from_topic(sandbox.connection, sandbox.topics.interactions)
    assert [record.value for record in recorded] == [b"0", b"1", b"3"]


def test_a_group_that_never_committed_has_no_offsets(sandbox: Sandbox) -> None:
    assert topics.committed_offsets(sandbox.connection, "nobody", sandbox.topics.interactions) == {}


def test_a_broker_that_is_away_is_said_in_one_line() -> None:
    with pytest.raises(Unavailable, match=r"Kafka at 127\.0\.0\.1:1 ") as raised:
        topics.topic_id(KafkaConnection("127.0.0.1:1"), "interactions")
    assert "\n" not in str(raised.value)


async def test_a_partition_that_is_added_is_read_within_seconds(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([heartbeat(SHOWN_MS)])
    async with running(sandbox, store) as worker:
        await worker.until(lambda: 0 in store.progress)
        topics.add_partitions(sandbox.connection, sandbox.topics.interactions, 2)
        sandbox.send([heartbeat(SHOWN_MS)], partition=1)
        await worker.until(lambda: 1 in store.progress)
