"""What the contestants read: the simulated shop's impressions, purchases and returns, in a topic of a real broker."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

from aiokafka import AIOKafkaProducer

from datasets import simulation
from datasets.dataset import Dataset
from datasets.shop import DAY_MS, Mapping, interactions
from importance.messages import Record
from stream.clients import async_producer
from stream.connection import KafkaConnection
from stream.publishing import partitions_of

# A busy shop: with 20,000 orders a day some 11,000 events lie in a window of half an hour, 21 in a second.
ORDERS_PER_DAY = 20_000
_EVENTS_PER_DAY = 200_000  # a little less than there are, so that the days suffice
_FILLED_AT_ONCE = 20_000


def records(count: int, seed: int = 0) -> Iterator[Record]:
    """So many messages in order of event time; the first day only fills the shop's catalogue."""
    days = 2 + count // _EVENTS_PER_DAY
    mapping = Mapping(simulation.NAME, seed, simulation.START_MS + DAY_MS)
    shop = Dataset(
        simulation.NAME,
        simulation.ABOUT,
        mapping.stream_start_ms,
        lambda: interactions(simulation.lines(seed, days, ORDERS_PER_DAY), mapping),
    )
    return shop.events(count)


def fill(connection: KafkaConnection, topic: str, partitions: int, messages: Iterable[Record]) -> int:
    """Send messages to a topic, each to the partition of its key; how many there were."""
    return asyncio.run(_fill(connection, topic, partitions, iter(messages)))


async def _fill(connection: KafkaConnection, topic: str, partitions: int, messages: Iterator[Record]) -> int:
    producer = async_producer(connection, max_batch_size=1 << 19)
    await producer.start()
    sent = 0
    try:
        while some := list(islice(messages, _FILLED_AT_ONCE)):
            await _send(producer, topic, partitions, some)
            sent += len(some)
    finally:
        await producer.stop()
    return sent


async def _send(producer: AIOKafkaProducer, topic: str, partitions: int, messages: list[Record]) -> None:
    parts: defaultdict[int, list[Record]] = defaultdict(list)
    for message, partition in zip(messages, partitions_of([m.key or b"" for m in messages], partitions), strict=True):
        parts[partition].append(message)
    pending = []
    for partition, its in parts.items():
        batch = producer.create_batch()
        for message in its:
            if batch.append(timestamp=message.time_ms, key=message.key, value=message.value) is None:
                pending.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(timestamp=message.time_ms, key=message.key, value=message.value)
        pending.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*pending)
