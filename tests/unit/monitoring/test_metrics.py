"""Every metric is documented, and shows what it was told."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest

from monitoring.metrics import (
    DependencyMetrics,
    HttpMetrics,
    SharedState,
    SharedStateCollector,
    Stratum,
    TrainerMetrics,
    WorkerMetrics,
)
from storage.runs import RESULTS

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"

CONTRACT = """
weir_events_total{type,outcome} weir_ingest_lag_records{partition} weir_join_pending weir_samples_total{surface,label}
weir_scoring_seconds weir_batch_size weir_importance weir_buffer_items{stratum} weir_buffer_capacity{stratum}
weir_buffer_effective_sample_size weir_buffer_offers_total{decision} weir_training_runs_total{result}
weir_training_seconds weir_model_info{version} weir_model_activated_timestamp_seconds
weir_model_quality{metric,predictor,version,slice} weir_rollbacks_total{result} weir_rollback_seconds
weir_training_frozen weir_dead_letters_total{reason}
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
        *vars(HttpMetrics(worker)).items(), *vars(DependencyMetrics(worker, ("storage",))).items(),
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
    figures = [line for line in shared(SharedState()).splitlines() if not line.startswith("#")]
    assert figures == ["weir_training_frozen 0.0"]


def test_a_store_that_is_away_leaves_the_page_standing_without_its_figures() -> None:
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
