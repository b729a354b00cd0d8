"""Read a topic's content, from where a reader stands to the end as it is now."""

from collections import Counter
from collections.abc import Iterator, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from stream.connection import KafkaConnection
from stream.topics import end_offsets


def records(bootstrap: str, topic: str, since: Mapping[int, int] = Counter()) -> Iterator[ConsumerRecord]:
    """Every record, partition by partition; ``since`` gives the first offset wanted of each, 0 where it is silent."""
    ends = end_offsets(KafkaConnection(bootstrap), topic)
    # What was deleted from the start is skipped.
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
    try:
        for number, end in sorted(ends.items()):
            partition = TopicPartition(topic, number)
            consumer.assign([partition])
            consumer.seek(partition, since.get(number, 0))
            while consumer.position(partition) < end:
                for found in consumer.poll(timeout_ms=1_000).values():
                    yield from (record for record in found if record.offset < end)
    finally:
        consumer.close()
