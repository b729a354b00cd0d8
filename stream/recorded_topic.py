"""A recorded topic as a source of records: its partitions merged in order of their Kafka timestamps.

Within a partition the order stays as it was, whatever the timestamps are.
"""

from collections import deque
from collections.abc import Iterator
from heapq import merge
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from importance.errors import NotFound, Unavailable
from importance.messages import Record
from stream import clients
from stream.connecting import require_broker
from stream.connection import KafkaConnection
from stream.reading import TIMEOUT_SECONDS

HELD_RECORDS = 5_000


def records_from_topic(connection: KafkaConnection, topic: str) -> Iterator[Record]:
    """Yield what the topic holds, up to its end as it is at the call; raises NotFound or Unavailable.

    A record without a key keeps its partition: a heartbeat belongs there and nowhere else.
    """
    require_broker(connection)
    try:
        consumer = clients.consumer(connection)
        try:
            numbers = consumer.partitions_for_topic(topic)
            if not numbers:
                raise NotFound(f"topic {topic} to replay does not exist: see weir topics")
            recording = _Recording(consumer, [TopicPartition(topic, number) for number in sorted(numbers)])
            for _, _, record in merge(*map(recording.partition, recording.ends), key=lambda entry: entry[:2]):
                yield record
        finally:
            consumer.close()
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {connection} did not give all of {topic}: {clients.cause(connection, error)}"
        ) from error


class _Recording:
    """Partitions read side by side; one that is far ahead of the others is paused."""

    def __init__(self, consumer: KafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._waiting: dict[TopicPartition, deque[Any]] = {partition: deque() for partition in partitions}
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        self.ends: dict[TopicPartition, int] = consumer.end_offsets(partitions)

    def partition(self, partition: TopicPartition) -> Iterator[tuple[int, int, Record]]:
        """Yield the latest timestamp so far, partition, record."""
        latest_ms, waiting = 0, self._waiting[partition]
        while True:
            while not waiting and self._consumer.position(partition) < self.ends[partition]:
                self._fetch()
            if not waiting:
                return
            record = waiting.popleft()
            latest_ms = max(latest_ms, record.timestamp)
            given = record.partition if record.key is None else None  # else the key decides
            yield latest_ms, record.partition, Record(record.key, record.value, record.timestamp, given)

    def _fetch(self) -> None:
        full = [partition for partition, waiting in self._waiting.items() if len(waiting) > HELD_RECORDS]
        self._consumer.pause(*full)
        fetched = self._consumer.poll(timeout_ms=int(TIMEOUT_SECONDS * 1_000))
        self._consumer.resume(*full)
        if not fetched:
            raise Unavailable(f"a recorded topic gave nothing for {TIMEOUT_SECONDS:g} s before its end: try again")
        for partition, records in fetched.items():
            end = self.ends[partition]
            self._waiting[partition].extend(record for record in records if record.offset < end)
