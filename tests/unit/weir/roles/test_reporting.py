"""What a worker's turns become: figures on its page and lines in its log."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from importance.decisions import LateImpression
from monitoring.metrics import DependencyMetrics, WorkerMetrics, new_registry
from stream.reports import Change, CommittedBatch, LagReport, Scored
from weir.roles.reporting import Reporting


def batch(*scored: Scored) -> CommittedBatch:
    return CommittedBatch(partition=0, counts={}, offers=(), corrections=0, dead=(), scored=scored)


def value(registry: CollectorRegistry, name: str) -> float | None:
    return registry.get_sample_value(name)


def test_scores_that_were_no_numbers_are_counted() -> None:
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(registry), DependencyMetrics(registry, ("storage",)))
    reporting(batch(Scored(256, 0.1, 0), Scored(100, 0.05, 3)))
    assert value(registry, "weir_scores_non_finite_total") == 3
    reporting(batch(Scored(10, 0.01, 1)))
    assert value(registry, "weir_scores_non_finite_total") == 4
    assert value(registry, "weir_batch_size_sum") == 366


class Clock:
    """Seconds, moved by the test."""

    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def late(*own_ms: int, event_time_ms: int = 10_000) -> CommittedBatch:
    records = [LateImpression(own, event_time_ms) for own in own_ms]
    return CommittedBatch(partition=2, counts={}, offers=(), corrections=0, dead=(), scored=(), late=records)


def test_there_is_one_warning_of_late_impressions_per_partition_and_minute() -> None:
    clock = Clock()
    registry = new_registry()
    with capture_logs() as warnings:
        reporting = Reporting(WorkerMetrics(registry), DependencyMetrics(registry, ()), clock)
        reporting(late(1_000))
        reporting(late(2_000, 3_000))
        assert [(w["partition"], w["count"], w["late_seconds"]) for w in warnings] == [(2, 1, 9.0)]
        clock.now += 60
        reporting(LagReport({}, {}, {}))
        assert [(w["count"], w["late_seconds"], w["event_time"]) for w in warnings[1:]] == [
            (2, 8.0, "1970-01-01T00:00:10+00:00")
        ]
        clock.now += 60
        reporting(LagReport({}, {}, {}))
        assert len(warnings) == 2
    assert value(registry, "weir_late_seconds_count") == 3
    assert value(registry, "weir_late_seconds_sum") == 9 + 8 + 7


@pytest.mark.parametrize(("dead", "remedy"), [(["late"], "redrive --reason late"), ([], "see WEIR_LATE")])
def test_the_warning_names_a_remedy_that_there_is(dead: list[str], remedy: str) -> None:
    with capture_logs() as warnings:
        reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(new_registry(), ()), Clock())
        reporting(replace(late(1_000), dead=dead))
    assert remedy in warnings[0]["event"]


def test_lag_in_event_time_and_the_oldest_impression_are_reported_by_partition() -> None:
    clock = Clock()
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(registry), DependencyMetrics(registry, ()), clock)

    def of(name: str, partition: str) -> float | None:
        return registry.get_sample_value(name, {"partition": partition})

    now_ms = int(clock.now * 1_000)
    reporting(
        LagReport(
            {0: 1, 1: 0}, {0: 3, 1: 0}, {0: 1, 1: 0}, event_times_ms={0: now_ms - 4_000}, oldest_ms={0: now_ms - 9_000}
        )
    )
    assert (of("weir_event_time_lag_seconds", "0"), of("weir_join_oldest_seconds", "0")) == (4, 5)
    assert (of("weir_event_time_lag_seconds", "1"), of("weir_join_oldest_seconds", "1")) == (0, 0)
    reporting(LagReport({1: 0}, {1: 0}, {1: 0}))
    assert of("weir_event_time_lag_seconds", "0") is None


def test_what_a_start_waits_for_is_a_reason_and_no_error_but_a_dependency_lost_later_is_both() -> None:
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(registry), DependencyMetrics(registry, ("storage",)), Clock())
    reporting.change("model", False, "not loaded yet")
    heartbeat = reporting.heartbeat()
    assert (heartbeat.state, heartbeat.reasons, heartbeat.error) == ("starting", ("model: not loaded yet",), None)
    reporting.change("model", True, "")
    reporting.started()
    assert reporting.heartbeat().state == "working"
    reporting.change("storage", False, "no answer")
    heartbeat = reporting.heartbeat()
    assert (heartbeat.state, heartbeat.error) == ("not_ready", "storage: no answer")
    assert heartbeat.error_time is not None


def test_a_dependency_is_back_only_when_every_witness_reached_it() -> None:
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(registry), DependencyMetrics(registry, ("storage",)))
    with capture_logs() as lines:
        reporting(Change("storage", available=False, reason="the flush is refused"))
        reporting.change("storage", False, "no answer", witness="watch")
        reporting.change("storage", True, "", witness="watch")
        assert reporting.reasons() == ["storage: the flush is refused"]
        assert registry.get_sample_value("weir_dependency_up", {"dependency": "storage"}) == 0
        reporting(Change("storage", available=True, reason="storage answers again"))
        assert reporting.reasons() == []
        assert registry.get_sample_value("weir_dependency_up", {"dependency": "storage"}) == 1
    assert [line["event"] for line in lines] == ["dependency unavailable", "dependency recovered"]
