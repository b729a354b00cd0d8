"""What a worker's turns become: figures on its page and lines in its log."""

from prometheus_client import CollectorRegistry

from monitoring.metrics import DependencyMetrics, WorkerMetrics, new_registry
from stream.reports import Scored, Turn
from weir.roles.reporting import Reporting


def turn(*scored: Scored) -> Turn:
    return Turn(partition=0, counts={}, offers=(), corrections=0, dead=(), scored=scored)


def value(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(name)


def test_scores_that_were_no_numbers_are_counted() -> None:
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(registry), DependencyMetrics(registry, ("storage",)))
    reporting(turn(Scored(256, 0.1, 0), Scored(100, 0.05, 3)))
    assert value(registry, "weir_scores_non_finite_total") == 3
    reporting(turn(Scored(10, 0.01, 1)))
    assert value(registry, "weir_scores_non_finite_total") == 4
    assert value(registry, "weir_batch_size_sum") == 366
