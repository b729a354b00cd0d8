"""A real Prometheus over the roles of a service finds data for every query of rules and dashboards."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from storage.registry import Registry
from tests.support.dashboards import queries
from tests.support.eager import eager
from tests.support.feeder import Feeder
from tests.support.prometheus import find, missing
from tests.support.prometheus_server import PrometheusServer
from tests.support.promql import rules, unfiltered
from tests.support.role import page, running, until_alive
from tests.support.service import Service
from tests.support.waiting import until

SHORT_BLOCKS = {  # of event time, of which a second has a hundred here
    "WEIR_DRIFT_BLOCK_SECONDS": "60",
    "WEIR_DRIFT_REFERENCE_BLOCKS": "8",
    "WEIR_DRIFT_WINDOW_BLOCKS": "2",
    "WEIR_DRIFT_EXPECTED_RUN_SECONDS": "600000",
}


def expressions() -> dict[str, str]:
    """Every query by name, without what makes it empty while all is well."""
    alerts = {rule["alert"]: rule["expr"] for rule in rules("alert")}
    recorded = {f"{rule['record']} {rule.get('labels', '')}": rule["expr"] for rule in rules("record")}
    return {name: unfiltered(expression) for name, expression in (queries() | alerts | recorded).items()}


@pytest.mark.skipif(find("prometheus") is None, reason=missing("prometheus"))
def test_every_query_of_rules_and_dashboards_finds_data(service: Service, tmp_path: Path) -> None:
    service.environment |= SHORT_BLOCKS
    registry = Registry(service.engine)
    workers = [service.start(), service.start()]
    with ExitStack() as stack:
        stack.enter_context(Feeder(service.kafka, service.topic, per_second=50))
        environment = eager(service) | {"WEIR_TRAIN_STEPS": "20"}
        trainer = stack.enter_context(running("trainer", service.home, environment))
        api = stack.enter_context(running("api", service.home, service.environment | {"WEIR_API_PORT": "0"}))
        wait = partial(until_alive, roles=[trainer, api])
        roles = [*workers, trainer, api]
        wait("the metrics endpoints", lambda: all(map(page, roles)))
        prometheus = PrometheusServer(tmp_path / "prometheus", [page(role) or "" for role in roles])
        stack.callback(prometheus.stop)
        prometheus.start()

        registry.unfreeze(actor="test", reason="learn")
        wait("a promotion", lambda: (active := registry.active()) is not None and active.version != "v1")
        service.weir("models", "rollback", "--reason", "so that its metrics have values")

        remaining = expressions()

        def none_remains() -> bool:
            for name in [name for name, expression in remaining.items() if prometheus.query(expression)]:
                del remaining[name]
            return not remaining

        until("data", none_remains, state=lambda: remaining)
        assert prometheus.failures() == []
