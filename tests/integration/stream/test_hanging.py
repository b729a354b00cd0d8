"""A broker that is stopped, and so neither answers nor refuses, is unavailable soon, and found again by itself."""

import signal
from queue import Queue

from stream.connection import KafkaConnection
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
