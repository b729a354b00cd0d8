"""Requests are counted by route, whatever answers them."""

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from prometheus_client import CollectorRegistry

from monitoring.metrics import HttpMetrics, new_registry
from weir.api.measuring import Measured, start_at_zero


@pytest.fixture
def registry() -> CollectorRegistry:
    return new_registry()


@pytest.fixture
def app(registry: CollectorRegistry) -> FastAPI:
    """Routes that answer, refuse and fail."""
    app, metrics = FastAPI(), HttpMetrics(registry)

    @app.get("/models/{version}")
    def model(version: str) -> str:
        if version == "gone":
            raise HTTPException(404)
        if version == "broken":
            raise RuntimeError
        return version

    @app.post("/runs", status_code=202)
    def run(steps: list[int]) -> None: ...

    start_at_zero(app, metrics)
    app.add_middleware(Measured, metrics=metrics)
    return app


def count(registry: CollectorRegistry, route: str, method: str, status: int) -> float | None:
    labels = {"route": route, "method": method, "status": str(status)}
    return registry.get_sample_value("weir_http_requests_total", labels)


async def request(app: FastAPI, method: str, path: str) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.request(method, path)


@pytest.mark.parametrize(
    ("method", "path", "series"),
    [
        ("GET", "/models/v1", ("/models/{version}", "GET", 200)),
        ("GET", "/models/gone", ("/models/{version}", "GET", 404)),
        ("GET", "/models/broken", ("/models/{version}", "GET", 500)),
        ("POST", "/runs", ("/runs", "POST", 422)),
        ("GET", "/a/path/that/a/client/invents", ("other", "GET", 404)),
        ("INVENTED", "/another", ("other", "other", 404)),
    ],
)
async def test_an_answer_is_counted_under_its_route(
    app: FastAPI, registry: CollectorRegistry, method: str, path: str, series: tuple[str, str, int]
) -> None:
    before = count(registry, *series) or 0
    await request(app, method, path)
    await request(app, method, path)
    assert count(registry, *series) == before + 2
    route, verb, _ = series
    assert registry.get_sample_value("weir_http_request_seconds_count", {"route": route, "method": verb}) == 2


def test_what_is_known_of_a_route_starts_at_0(app: FastAPI, registry: CollectorRegistry) -> None:
    assert [count(registry, "/models/{version}", "GET", status) for status in (200, 500, 503, 404)] == [0, 0, 0, None]
    assert [count(registry, "/runs", "POST", status) for status in (202, 422, 500, 503, 200)] == [0, 0, 0, 0, None]
