"""Every metric is documented, and exports what was observed."""

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from monitoring.metrics import (
    DependencyMetrics,
    DriftTest,
    HttpMetrics,
    SharedState,
    SharedStateCollector,
    Stratum,
    TrainerMetrics,
    WorkerMetrics,
    new_registry,
)
from monitoring.rank_metrics import RankMetrics
from storage.runs import RESULTS

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"

CONTRACT = """
weir_events_total{type,outcome} weir_ingest_lag_records{partition} weir_join_pending weir_samples_total{surface,label}
weir_scoring_seconds weir_batch_size weir_importance weir_buffer_items{stratum} weir_buffer_capacity{stratum}
weir_buffer_effective_sample_size weir_buffer_offers_total{decision} weir_training_runs_total{result}
weir_training_seconds weir_model_info{version} weir_model_activated_timestamp_seconds
weir_model_quality{metric,predictor,version,slice} weir_rollbacks_total{result} weir_rollback_seconds
weir_training_frozen weir_dead_letters_total{reason}
weir_drift_statistic{test,feature,segment} weir_drift_threshold{test,feature,segment}
"""

STATE = SharedState(
    strata=(Stratum("holdout", 20, 7), Stratum("uniform", 30, 30)),
    effective_sample_size=31.5,
    active_version="v3",
    activated_seconds=1_700_000_000.0,
    training_frozen=True,
    quality={("auc", "serving", "v3", "all"): 0.84},
    recent={("auc", "baseline", "all"): 0.8},
    rollbacks={"done": 2},
    processes={"worker": 2, "trainer": 0},
    comparisons={("shadow", "wins"): 12},
    rollback_proposed=True,
    drift=(
        DriftTest("psi", "price", "all", 0.4, 0.3, 2),
        DriftTest("adwin", "loss", "country=France", None, None, 0),
    ),
    drift_evaluated_seconds=1_600_000_000.0,
    selection_advantage=(0.002, -0.001, 0.005),
    selection_fallback=True,
)


def shared(state: SharedState | None) -> str:
    registry = CollectorRegistry()
    registry.register(SharedStateCollector(lambda: state))
    return generate_latest(registry).decode()


def defined() -> dict[str, str]:
    """Every metric as ``name{labels}`` with its help text, over all roles."""
    worker, trainer, api = CollectorRegistry(), CollectorRegistry(), CollectorRegistry()
    everything = [
        *vars(WorkerMetrics(worker)).items(), *vars(TrainerMetrics(trainer)).items(),
        *vars(HttpMetrics(worker)).items(), *vars(RankMetrics(worker)).items(),
        *vars(DependencyMetrics(worker, ("storage",))).items(),
    ]  # fmt: skip
    labels = {metric._name: metric._labelnames for name, metric in everything if not name.startswith("_")}
    api.register(SharedStateCollector(lambda: STATE))
    found = {}
    for registry in (worker, trainer, api):
        for family in registry.collect():
            names = labels.get(family.name) or tuple(family.samples[0].labels if registry is api else ())
            name = family.name + ("_total" if family.type == "counter" else "")
            found[name + (f"{{{','.join(names)}}}" if names else "")] = family.documentation
    return found


def test_every_metric_of_the_contract_exists_with_its_labels() -> None:
    assert set(CONTRACT.split()) <= set(defined())


def test_every_metric_has_its_line_in_the_docs_and_every_line_its_metric() -> None:
    documented = dict(re.findall(r"^\| `(weir_[^`]+)` \|(?:[^|]*\|){2} ([^|]+) \|$", DOCS.read_text(), re.MULTILINE))
    assert documented == defined()


def test_the_shared_state_is_exported_as_it_is_read() -> None:
    lines = shared(STATE).splitlines()
    assert 'weir_buffer_items{stratum="holdout"} 7.0' in lines
    assert 'weir_buffer_capacity{stratum="uniform"} 30.0' in lines
    assert "weir_buffer_effective_sample_size 31.5" in lines
    assert 'weir_model_info{version="v3"} 1.0' in lines
    assert 'weir_model_quality{metric="auc",predictor="serving",slice="all",version="v3"} 0.84' in lines
    assert 'weir_predictor_quality{metric="auc",predictor="baseline",slice="all"} 0.8' in lines
    assert 'weir_rollbacks_total{result="done"} 2.0' in lines
    assert "weir_training_frozen 1.0" in lines
    assert "weir_selection_advantage_low -0.001" in lines
    assert "weir_selection_fallback 1.0" in lines
    assert 'weir_comparison_subjects{result="wins",test="shadow"} 12.0' in lines
    assert "weir_rollback_proposed 1.0" in lines
    assert 'weir_drift_statistic{feature="price",segment="all",test="psi"} 0.4' in lines
    assert 'weir_drift_threshold{feature="price",segment="all",test="psi"} 0.3' in lines
    assert 'weir_drift_alarms_total{feature="price",segment="all",test="psi"} 2.0' in lines
    assert 'weir_drift_alarms_total{feature="loss",segment="country=France",test="adwin"} 0.0' in lines
    assert not any(line.startswith("weir_drift_statistic{") and "loss" in line for line in lines)  # no check yet
    assert "weir_drift_evaluated_timestamp_seconds 1.6e+09" in lines
    assert {'weir_processes{role="worker"} 2.0', 'weir_processes{role="trainer"} 0.0'} <= set(lines)


def test_every_label_value_of_a_counter_starts_at_0() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    TrainerMetrics(registry, RESULTS)
    counters = [family for family in registry.collect() if family.type == "counter"]
    silent = [family.name for family in counters if not any(x.name.endswith("_total") for x in family.samples)]
    assert silent == []
    assert registry.get_sample_value("weir_dead_letters_total", {"reason": "not_json"}) == 0
    assert registry.get_sample_value("weir_events_total", {"type": "impression", "outcome": "late"}) == 0
    assert registry.get_sample_value("weir_training_runs_total", {"result": "promoted"}) == 0


def test_what_is_not_known_is_not_exported() -> None:
    series = [line for line in shared(SharedState()).splitlines() if not line.startswith("#")]
    compared = [line for line in series if line.startswith("weir_comparison_subjects{")]
    assert (len(compared), {line.split()[-1] for line in compared}) == (6, {"0.0"})
    assert [line for line in series if line not in compared] == [
        "weir_training_frozen 0.0", "weir_rollback_proposed 0.0", "weir_selection_fallback 0.0",
    ]  # fmt: skip


def test_while_the_store_is_unavailable_nothing_of_it_is_exported() -> None:
    assert shared(None) == ""


def test_registering_the_shared_state_reads_nothing() -> None:
    reads = []
    CollectorRegistry(auto_describe=True).register(SharedStateCollector(lambda: reads.append(1) or STATE))
    assert reads == []


def test_many_values_observed_at_once_are_what_they_are_one_by_one() -> None:
    values = [0.0, 0.001, 0.0011, 0.3, 0.30001, 10.0, 31.0, 1e300]
    pages = []
    for observe in (lambda metric: metric.observe_all(values), lambda metric: [metric.observe(x) for x in values]):
        registry = CollectorRegistry()
        observe(WorkerMetrics(registry).importance)
        pages.append([line for line in generate_latest(registry).decode().splitlines() if "created" not in line])
    assert pages[0] == pages[1]


def test_no_values_are_no_observation() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry).importance.observe_all([])
    assert registry.get_sample_value("weir_importance_count") == 0


def test_no_metric_counts_in_milliseconds_or_percent() -> None:
    assert [name for name in defined() if re.search(r"_(ms|milliseconds|percent|minutes)\b", name)] == []


def test_every_gauge_of_the_shared_state_has_one_series_for_each_stratum() -> None:
    lines = shared(STATE).splitlines()
    for name in ("weir_buffer_items", "weir_buffer_capacity", "weir_buffer_largest_subject_share"):
        assert [line.partition("{")[2].partition("}")[0] for line in lines if line.startswith(f"{name}{{")] == [
            'stratum="holdout"',
            'stratum="uniform"',
        ]


def test_the_largest_share_of_a_subject_and_the_time_of_activation_are_exported() -> None:
    state = SharedState(strata=(Stratum("positive", 10, 4, 0.25),), activated_seconds=12.5)
    lines = shared(state).splitlines()
    assert 'weir_buffer_largest_subject_share{stratum="positive"} 0.25' in lines
    assert "weir_model_activated_timestamp_seconds 12.5" in lines


def test_quality_that_is_undefined_is_exported_as_nan() -> None:
    lines = shared(SharedState(quality={("auc", "serving", "v1", "all"): float("nan")})).splitlines()
    assert 'weir_model_quality{metric="auc",predictor="serving",slice="all",version="v1"} NaN' in lines


def test_the_shared_state_is_read_again_at_each_scrape() -> None:
    states = iter([SharedState(active_version="v1"), None, SharedState(active_version="v2")])
    registry = CollectorRegistry()
    registry.register(SharedStateCollector(lambda: next(states)))
    scrapes = [re.findall(r'weir_model_info\{version="(\w+)"\}', generate_latest(registry).decode()) for _ in range(3)]
    assert scrapes == [["v1"], [], ["v2"]]


def test_a_label_value_is_escaped() -> None:
    assert r'weir_buffer_items{stratum="country=\"a\\b\""} 1.0' in shared(
        SharedState(strata=(Stratum('country="a\\b"', 2, 1),))
    )


def http() -> tuple[CollectorRegistry, HttpMetrics]:
    registry = CollectorRegistry()
    return registry, HttpMetrics(registry)


def test_a_request_is_counted_by_route_method_and_status_and_its_time_by_route_and_method() -> None:
    registry, metrics = http()
    metrics.observe("/v1/models/{version}", "GET", 200, 0.25)
    metrics.observe("/v1/models/{version}", "GET", 404, 0.5)
    where = {"route": "/v1/models/{version}", "method": "GET"}
    for status in ("200", "404"):
        assert registry.get_sample_value("weir_http_requests_total", where | {"status": status}) == 1
    assert registry.get_sample_value("weir_http_request_seconds_count", where) == 2
    assert registry.get_sample_value("weir_http_request_seconds_sum", where) == 0.75


def test_an_expected_request_has_a_series_at_0_before_it_comes() -> None:
    registry, metrics = http()
    metrics.expect("/v1/score", "POST", 200)
    where = {"route": "/v1/score", "method": "POST"}
    assert registry.get_sample_value("weir_http_requests_total", where | {"status": "200"}) == 0
    assert registry.get_sample_value("weir_http_request_seconds_count", where) == 0


def test_a_dependency_is_down_until_it_is_known_to_answer_and_again_when_it_fails() -> None:
    registry = CollectorRegistry()
    metrics = DependencyMetrics(registry, ("kafka", "storage"))

    def up(dependency: str) -> float | None:
        return registry.get_sample_value("weir_dependency_up", {"dependency": dependency})

    assert (up("kafka"), up("storage")) == (0, 0)
    metrics.set("kafka", True)
    assert (up("kafka"), up("storage")) == (1, 0)
    metrics.set("kafka", False)
    assert up("kafka") == 0


def test_a_part_of_the_role_itself_is_not_exported_as_a_dependency() -> None:
    registry = CollectorRegistry()
    DependencyMetrics(registry, ("kafka",)).set("model", True)
    assert registry.get_sample_value("weir_dependency_up", {"dependency": "model"}) is None


def test_a_new_registry_reports_the_process_and_nothing_of_weir() -> None:
    names = {family.name for family in new_registry().collect()}
    assert {"process_cpu_seconds", "process_resident_memory_bytes", "process_open_fds"} <= names
    assert not any(name.startswith("weir_") for name in names)


def test_two_registries_do_not_share_counts() -> None:
    first, second = CollectorRegistry(), CollectorRegistry()
    WorkerMetrics(first).events.labels("click", "accepted").inc()
    WorkerMetrics(second)
    labels = {"type": "click", "outcome": "accepted"}
    assert first.get_sample_value("weir_events_total", labels) == 1
    assert second.get_sample_value("weir_events_total", labels) == 0


@pytest.mark.parametrize("name", ["weir_scoring_seconds", "weir_training_seconds", "weir_rollback_seconds"])
def test_a_histogram_has_rising_buckets_that_end_at_infinity(name: str) -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry)
    TrainerMetrics(registry)
    bounds = [
        float(sample.labels["le"])
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"{name}_bucket"
    ]
    assert bounds == sorted(set(bounds))
    assert bounds[-1] == float("inf")


def test_a_value_on_a_bound_is_counted_in_the_bucket_of_this_bound() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry).importance.observe_all([0.3, 0.3, 0.30001])  # 0.3 and 1.0 are neighbouring bounds
    cumulated = [registry.get_sample_value("weir_importance_bucket", {"le": bound}) for bound in ("0.1", "0.3", "1.0")]
    assert cumulated == [0, 2, 3]


def test_a_trainer_exports_a_series_for_each_result_it_may_report() -> None:
    registry = CollectorRegistry()
    TrainerMetrics(registry, ("promoted", "failed")).training_runs.labels("failed").inc()
    found = {result: registry.get_sample_value("weir_training_runs_total", {"result": result})
             for result in ("promoted", "failed", "rejected")}  # fmt: skip
    assert found == {"promoted": 0, "failed": 1, "rejected": None}


def test_rollbacks_are_a_counter_by_result() -> None:
    text = shared(SharedState(rollbacks={"done": 3}))
    assert "# TYPE weir_rollbacks_total counter" in text
    assert 'weir_rollbacks_total{result="done"} 3.0' in text
