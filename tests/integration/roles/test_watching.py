"""A broker that is stopped, and so neither answers nor refuses, is unavailable soon, and found again by itself."""

import signal
import time

from monitoring.metrics import DependencyMetrics, WorkerMetrics, new_registry
from stream.connection import KafkaConnection
from weir.local.kafka import KafkaServer
from weir.local.ports import until
from weir.roles.reporting import Reporting
from weir.roles.watching import watch_kafka


def test_a_stopped_broker_is_unavailable_within_10_seconds_and_recovers(own_kafka: KafkaServer) -> None:
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(registry, ("kafka",)))

    def up() -> float | None:
        return registry.get_sample_value("weir_dependency_up", {"dependency": "kafka"})

    with watch_kafka(KafkaConnection(own_kafka.bootstrap), reporting) as watch:
        assert until(lambda: up() == 1, lambda: False, 60)
        assert watch.trouble is None
        own_kafka.send(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            assert until(lambda: bool(reporting.reasons()), lambda: False, 60)
            assert time.monotonic() - stopped < 10
            assert reporting.reasons() == [f"kafka: {watch.trouble}"]
            assert up() == 0
        finally:
            own_kafka.send(signal.SIGCONT)
        assert until(lambda: up() == 1, lambda: False, 60)
        assert reporting.reasons() == []
