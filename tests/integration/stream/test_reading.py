"""Reading a topic to its end, which comes, or is said not to come."""

import pytest
from kafka import KafkaConsumer, TopicPartition

from importance.errors import Unavailable
from stream.reading import read_to
from tests.integration.stream.harness import Sandbox


@pytest.fixture
def consumer(sandbox: Sandbox) -> KafkaConsumer:
    """At the beginning of the first partition, which holds three records."""
    sandbox.send([b"0", b"1", b"2"])
    consumer = KafkaConsumer(bootstrap_servers=sandbox.bootstrap, enable_auto_commit=False)
    consumer.assign([TopicPartition(sandbox.topics.interactions, 0)])
    consumer.seek_to_beginning()
    yield consumer
    consumer.close()


def test_what_lies_before_the_end_is_read_and_no_more(consumer: KafkaConsumer) -> None:
    (partition,) = consumer.assignment()
    assert [record.value for record in read_to(consumer, {partition: 2})] == [b"0", b"1"]


def test_an_end_that_does_not_come_is_not_waited_for_without_bound(consumer: KafkaConsumer) -> None:
    (partition,) = consumer.assignment()
    reading = read_to(consumer, {partition: 4}, timeout_seconds=0.2)
    assert [next(reading).value for _ in range(3)] == [b"0", b"1", b"2"]
    with pytest.raises(Unavailable, match=rf"^topic {partition.topic} gave nothing for 0.2 s before its end: "):
        next(reading)
