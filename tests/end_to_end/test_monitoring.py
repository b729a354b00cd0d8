"""A real Prometheus over the roles of a service finds data for every query of rules and dashboards."""

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from monitoring.dashboards.pictures.draw import draw_all
from monitoring.dashboards.pictures.source import Source, Window
from storage.registry import Registry
from tests.support.dashboards import queries
from tests.support.eager import eager
from tests.support.feeder import Feeder
from tests.support.prometheus import find, missing
from tests.support.prometheus_server import PrometheusServer
from tests.support.promql import rules, unfiltered
from tests.support.role import page, running, until_alive
from tests.support.service import Service
from tests.support.traffic import NO_EVENTS, Record, impression
from tests.support.visitors import Request, Visitor
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(900)  # two minutes on an idle machine; several processes start meanwhile

SHORT_BLOCKS = {  # of event time, of which a second has a hundred here
    "WEIR_DRIFT_BLOCK_SECONDS": "60",
    "WEIR_DRIFT_REFERENCE_BLOCKS": "8",
    "WEIR_DRIFT_WINDOW_BLOCKS": "2",
    "WEIR_DRIFT_EXPECTED_RUN_SECONDS": "600000",
}
MORE_BLOCKS = {  # enough of them to be permuted
    "WEIR_DRIFT_REFERENCE_BLOCKS": "12",
    "WEIR_DRIFT_WINDOW_BLOCKS": "6",
    "WEIR_DRIFT_EXPECTED_RUN_SECONDS": "60000",
}


def expressions() -> dict[str, str]:
    """Every query by name, without what makes it empty while all is well."""
    alerts = {rule["alert"]: rule["expr"] for rule in rules("alert")}
    recorded = {f"{rule['record']} {rule.get('labels', '')}": rule["expr"] for rule in rules("record")}
    return {name: unfiltered(expression) for name, expression in (queries() | alerts | recorded).items()}


@contextmanager
def monitored(service: Service, home: Path, trainer_settings: dict[str, str]) -> Iterator[tuple[PrometheusServer, str]]:
    """Two workers, a trainer and an api under a Prometheus, after a promotion and a rollback; the api's address."""
    registry = Registry(service.engine)
    workers = [service.start(), service.start()]
    with ExitStack() as stack:
        environment = eager(service) | {"WEIR_CONTROL_EVERY": "1"} | trainer_settings  # each run compares its arms
        trainer = stack.enter_context(running("trainer", service.home, environment))
        api = stack.enter_context(running("api", service.home, service.environment | {"WEIR_API_PORT": "0"}))
        wait = partial(until_alive, roles=[trainer, api])
        jobs = {"weir-worker": workers, "weir-trainer": [trainer], "weir-api": [api]}
        wait("the metrics endpoints", lambda: all(page(role) for roles in jobs.values() for role in roles))
        pages = {job: [page(role) or "" for role in roles] for job, roles in jobs.items()}
        prometheus = PrometheusServer(home / "prometheus", pages)
        stack.callback(prometheus.stop)
        prometheus.start()

        registry.unfreeze(actor="test", reason="learn")
        wait("a promotion", lambda: (active := registry.active()) is not None and active.version != "v1")
        service.weir("models", "rollback", "--reason", "so that its metrics have values")
        yield prometheus, page(api) or ""


@pytest.mark.skipif(find("prometheus") is None, reason=missing("prometheus"))
def test_every_query_of_rules_and_dashboards_finds_data(service: Service, tmp_path: Path) -> None:
    service.environment |= SHORT_BLOCKS
    feeder = Feeder(service.kafka, service.topic, per_second=50)
    with feeder, monitored(service, tmp_path, {"WEIR_TRAIN_STEPS": "20"}) as (prometheus, _):
        Registry(service.engine).unfreeze(actor="test", reason="compare arms")  # the first holdout may be too small to
        remaining = expressions()

        def none_remains() -> bool:
            for name in [name for name, expression in remaining.items() if prometheus.query(expression)]:
                del remaining[name]
            return not remaining

        until("data", none_remains, state=lambda: remaining)
        assert prometheus.failures() == []


@pytest.mark.soak
@pytest.mark.skipif(find("prometheus") is None, reason=missing("prometheus"))
def test_every_panel_of_the_dashboards_is_drawn_with_data(service: Service, tmp_path: Path) -> None:
    """Six minutes of a shop whose event time runs 20 times as fast until it is now; PICTURES names a directory."""
    pictures = Path(os.environ.get("PICTURES") or tmp_path / "pictures")
    service.environment |= SHORT_BLOCKS | MORE_BLOCKS | {"WEIR_ESTIMATOR": "rho"}
    start_ms = int(1000 * (time.time() - 20 * 420))
    feeder = Feeder(service.kafka, service.topic, per_second=50, start_ms=start_ms, step_ms=400)
    feeder.taste = 0.8
    with feeder, monitored(service, tmp_path, {"WEIR_TRAIN_AFTER_SAMPLES": "1000"}) as (prometheus, api):
        started = time.time()
        rank = {"query": "red lamp", "surface": "search", "items": [{"item": "a", "text": "green lamp"}]}
        with (
            Visitor("ranks", Request("POST", f"{api}/v1/rank", rank)),
            Visitor("asks wrongly", Request("POST", f"{api}/v1/rank", {})),
        ):
            for minute in range(1, 6):
                troubles(service, minute, start_ms)
                until("a minute", lambda: time.time() > started + 60 * minute)  # noqa: B023  # called at once
                if minute == 2:
                    Registry(service.engine).unfreeze(actor="test", reason="learn")
                if minute == 3:
                    feeder.click_share, feeder.taste = 0.5, 0.2
        window = Window(time.time() - 330, time.time(), scrape_seconds=5)
        assert draw_all(Source(prometheus.url, window), pictures) == []
    assert max(file.stat().st_size for file in pictures.iterdir()) < 150_000


def troubles(service: Service, number: int, start_ms: int) -> None:
    """Send messages that are no events, and impressions that come too late."""
    rng, now_ms = random.Random(number), int(1000 * time.time())
    late = [impression(f"late-{number}-{i}", start_ms - 3_600_000, f"s-{i}", rng) for i in range(20)]
    messages = [*NO_EVENTS, *(json.dumps(event).encode() for event in late)]
    service.send(Record(f"{i}".encode(), message, now_ms) for i, message in enumerate(messages))
