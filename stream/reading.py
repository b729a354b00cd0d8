"""Read partitions up to known ends, with a timeout: a broker that is gone reports no error."""

from collections.abc import Iterator, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.consumer.fetcher import ConsumerRecord

from importance.errors import Unavailable

TIMEOUT_SECONDS = 30.0


def read_to(
    consumer: KafkaConsumer, ends: Mapping[TopicPartition, int], timeout_seconds: float = TIMEOUT_SECONDS
) -> Iterator[ConsumerRecord]:
    """Yield the records of assigned partitions from the consumer's position up to ``ends``, offsets not included.

    Raises Unavailable when nothing comes for ``timeout_seconds``; the caller handles Kafka's own errors.
    """
    while any(consumer.position(partition) < end for partition, end in ends.items()):
        fetched = consumer.poll(timeout_ms=int(timeout_seconds * 1_000))
        if not fetched:
            topics = ", ".join(sorted({partition.topic for partition in ends}))
            raise Unavailable(f"topic {topics} gave nothing for {timeout_seconds:g} s before its end: try again")
        for partition, records in fetched.items():
            yield from (record for record in records if record.offset < ends[partition])
