"""A broker that is stopped, and so neither answers nor refuses, is unavailable soon, and found again by itself."""

import asyncio
import signal
from queue import Queue

from aiokafka import AIOKafkaProducer

from importance.errors import Unavailable
from stream import dead_letters
from stream.connection import KafkaConnection
from stream.dead_letters import DeadLetter
from stream.publishing import Publisher
from stream.topics import Topics, planned, provision
from stream.watch import KafkaWatch
from weir.local.kafka import KafkaServer


def test_a_stopped_broker_is_unavailable_and_recovers(own_kafka: KafkaServer) -> None:
    results: Queue[tuple[bool, str]] = Queue()

    def until(available: bool) -> str:
        while (result := results.get(timeout=60))[0] is not available:
            pass
        return result[1]

    with KafkaWatch(KafkaConnection(own_kafka.bootstrap), lambda *result: results.put(result)) as watch:
        assert until(True) == ""
        assert watch.trouble is None
        own_kafka.send(signal.SIGSTOP)
        try:
            reason = until(False)
            assert reason == watch.trouble
            assert reason.startswith(f"Kafka at {own_kafka.bootstrap} does not answer (")
        finally:
            own_kafka.send(signal.SIGCONT)
        until(True)
        assert watch.trouble is None


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
