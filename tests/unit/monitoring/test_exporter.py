"""The metrics endpoint of a role, over real HTTP."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from importance.errors import InvalidInput
from monitoring.exporter import Exporter
from monitoring.metrics import WorkerMetrics, new_registry


class Role:
    """A role whose readiness a test changes, and its endpoint."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        registry = new_registry()
        self.metrics = WorkerMetrics(registry)
        self.exporter = Exporter(registry, lambda: self.reasons)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.exporter.url + path, timeout=10)


@pytest.fixture
def role() -> Iterator[Role]:
    role = Role()
    with role.exporter:
        yield role


def test_the_metrics_are_served_in_prometheus_text_format(role: Role) -> None:
    role.metrics.events.labels("click", "accepted").inc(3)
    answer = role.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'weir_events_total{outcome="accepted",type="click"} 3.0' in answer.text
    assert "process_cpu_seconds_total" in answer.text


def test_a_role_is_alive_though_it_is_not_ready_and_reports_why(role: Role) -> None:
    role.reasons = ["kafka: connection refused"]
    assert role.get("/healthz").status_code == 200
    answer = role.get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "reasons": ["kafka: connection refused"]})


def test_a_role_without_reasons_is_ready(role: Role) -> None:
    answer = role.get("/readyz?verbose")
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "reasons": []})


def test_an_unknown_path_is_a_problem_that_names_the_known_ones(role: Role) -> None:
    answer = role.get("/metrix")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "/metrics" in answer.json()["detail"]


def test_a_closed_endpoint_no_longer_listens(role: Role) -> None:
    url = role.exporter.url
    role.exporter.close()
    with pytest.raises(httpx.ConnectError):
        httpx.get(url + "/healthz", timeout=10)


def test_a_port_that_is_taken_is_reported_in_one_line(role: Role) -> None:
    port = int(role.exporter.url.rpartition(":")[2])
    with pytest.raises(InvalidInput, match=rf"cannot serve metrics at 127\.0\.0\.1:{port}: .*; choose another port"):
        Exporter(new_registry(), list, port=port)


def test_the_endpoint_is_served_over_ipv6_too() -> None:
    try:
        exporter = Exporter(new_registry(), list, host="::1")
    except InvalidInput as error:
        pytest.skip(f"this machine has no IPv6 loopback: {error}")
    with exporter:
        assert httpx.get(exporter.url + "/healthz", timeout=10).status_code == 200


def test_metrics_of_another_collector_are_read_at_each_request(role: Role) -> None:
    for count in (1, 2):
        role.metrics.events.labels("click", "accepted").inc()
        assert f'weir_events_total{{outcome="accepted",type="click"}} {count}.0' in role.get("/metrics").text


def test_a_role_becomes_ready_and_unready_as_its_reasons_come_and_go(role: Role) -> None:
    statuses = []
    for reasons in (["starting"], [], ["kafka: connection refused"]):
        role.reasons = reasons
        statuses.append(role.get("/readyz").status_code)
    assert statuses == [503, 200, 503]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrix"])
def test_an_answer_has_the_length_of_its_body(role: Role, path: str) -> None:
    answer = role.get(path)
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_only_reading_is_supported(role: Role) -> None:
    assert httpx.post(role.exporter.url + "/metrics", timeout=10).status_code == 501


def test_several_clients_are_answered_at_once(role: Role) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(role.get, ["/metrics", "/healthz"] * 8))
    assert {answer.status_code for answer in answers} == {200}
