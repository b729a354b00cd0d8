"""What a broker that is stopped, and so neither answers nor refuses, does to what is published."""

import asyncio
import signal

from aiokafka import AIOKafkaProducer

from importance.errors import Unavailable
from stream import dead_letters
from stream.connection import KafkaConnection
from stream.dead_letters import DeadLetter
from stream.publishing import Publisher
from stream.topics import Topics, planned, provision
from weir.local.kafka import KafkaServer


async def test_a_large_letter_that_a_stopped_broker_did_not_take_arrives_whole(own_kafka: KafkaServer) -> None:
    kafka, topics = KafkaConnection(own_kafka.bootstrap), Topics()
    await asyncio.to_thread(provision, kafka, planned(topics, 1, 1))
    small, large = (DeadLetter("not_json", topics.interactions, 0, 7, b"ann", b"x" * size, ()) for size in (1, 600_000))
    producer = AIOKafkaProducer(bootstrap_servers=own_kafka.bootstrap, acks="all", request_timeout_ms=3_000)
    await producer.start()

    async def running_producer() -> AIOKafkaProducer:
        return producer

    publisher = Publisher(running_producer, topics.importance, topics.dead)
    try:
        await publisher.publish([], [small])  # connects
        own_kafka.send(signal.SIGSTOP)
        try:
            publishing = asyncio.create_task(publisher.publish([], [large]))
            await asyncio.wait({publishing}, timeout=4.5)  # longer than one request waits, shorter than two
        finally:
            own_kafka.send(signal.SIGCONT)
        try:
            await publishing
        except Unavailable:
            await publisher.publish([], [large])
    finally:
        await producer.stop()
    letters = await asyncio.to_thread(lambda: list(dead_letters.read(kafka, topics.dead)))
    assert letters[-1].value == large.value
