"""The topic ``models``: the active version, announced to every worker and api.

Postgres is the truth and this a wake-up. An announcement that is older than one already seen is ignored.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError as AioKafkaError
from kafka.errors import KafkaError

from importance.errors import Unavailable
from stream import clients
from stream.connecting import require_broker
from stream.connection import KafkaConnection

KEY = b"active"


class Announcement(msgspec.Struct, frozen=True):
    """A version became the active one; ``sequence`` is its number in the promotion log."""

    sequence: int
    version: str
    previous: str | None
    actor: str
    reason: str
    time: datetime
    sha256: str


_DECODER = msgspec.json.Decoder(Announcement)


def announce(
    connection: KafkaConnection, topic: str, announcement: Announcement, timeout_seconds: float = 10.0
) -> None:
    """Send the announcement, and wait until the broker has it. Raises :class:`Unavailable` otherwise."""
    milliseconds = int(timeout_seconds * 1000)
    require_broker(connection, timeout_seconds)
    try:
        producer = clients.producer(connection, bootstrap_timeout_ms=milliseconds, max_block_ms=milliseconds)
        try:
            producer.send(topic, msgspec.json.encode(announcement), KEY).get(timeout=timeout_seconds)
        finally:
            producer.close(timeout=timeout_seconds)
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {connection} did not take the announcement: {clients.cause(connection, error)}"
        ) from error


async def follow(connection: KafkaConnection, topic: str, after: int = 0) -> AsyncIterator[Announcement]:
    """Yield each announcement with a sequence above ``after`` and above all that came before; never ends by itself.

    Reads the topic from its start, without a group. Raises :class:`Unavailable` when Kafka cannot be reached at
    the start; later outages are waited out.
    """
    await asyncio.to_thread(require_broker, connection)
    consumer = clients.async_consumer(connection, auto_offset_reset="earliest")
    try:
        try:
            await consumer.start()
        except AioKafkaError as error:
            raise Unavailable(f"Kafka at {connection} does not answer: {clients.cause(connection, error)}") from error
        consumer.assign([TopicPartition(topic, 0)])
        async for record in consumer:
            announcement = _parse(record.value)
            if announcement is not None and announcement.sequence > after:
                after = announcement.sequence
                yield announcement
    finally:
        await consumer.stop()


def _parse(value: bytes | None) -> Announcement | None:
    """Decode a record; return None for one that is not a valid announcement: it must not stop a worker."""
    try:
        return _DECODER.decode(value or b"")
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
