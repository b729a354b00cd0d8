"""A broker that is stopped, and so neither answers nor refuses, is unavailable soon, and found again by itself."""

import signal

from monitoring.metrics import DependencyMetrics, WorkerMetrics, new_registry
from stream.connection import KafkaConnection
from tests.support.waiting import until
from weir.local.kafka import KafkaServer
from weir.roles.reporting import Reporting
from weir.roles.watching import watch_kafka


def test_a_stopped_broker_is_unavailable_while_it_is_stopped_and_recovers(own_kafka: KafkaServer) -> None:
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(registry, ("kafka",)))

    def up() -> float | None:
        return registry.get_sample_value("weir_dependency_up", {"dependency": "kafka"})

    with watch_kafka(KafkaConnection(own_kafka.bootstrap), reporting) as watch:
        until("Kafka", lambda: up() == 1)
        assert watch.trouble is None
        own_kafka.send(signal.SIGSTOP)
        try:
            until("the reason", lambda: bool(reporting.reasons()))
            assert reporting.reasons() == [f"kafka: {watch.trouble}"]
            assert up() == 0
        finally:
            own_kafka.send(signal.SIGCONT)
        until("Kafka", lambda: up() == 1)
        assert reporting.reasons() == []
