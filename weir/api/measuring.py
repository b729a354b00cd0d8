"""Count requests and their seconds by route, whatever answers them. ASGI middleware around all others."""

from collections.abc import Iterator
from http import HTTPStatus
from time import perf_counter

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitoring.metrics import HttpMetrics

OTHER = "other"  # for what no route answers: a path that a client invents must not become a label
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_ANYTIME = (HTTPStatus.INTERNAL_SERVER_ERROR, HTTPStatus.SERVICE_UNAVAILABLE)
_WITH_BODY = (HTTPStatus.UNPROCESSABLE_ENTITY,)


class Measured:
    """Observes each request when its answer has ended."""

    def __init__(self, app: ASGIApp, metrics: HttpMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and count its answer, or 500 where there is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", OTHER)
            method = scope["method"] if scope["method"] in _METHODS else OTHER
            self._metrics.observe(route, method, status, perf_counter() - started)


def start_at_zero(app: FastAPI, metrics: HttpMetrics) -> None:
    """Start the series that are known beforehand at 0: the success of each route, and its failures."""
    for route, method, status in _known(app):
        metrics.expect(route, method, status)


def _known(app: FastAPI) -> Iterator[tuple[str, str, int]]:
    for path, operations in app.openapi()["paths"].items():
        for method, operation in operations.items():
            succeeds = [int(status) for status in operation["responses"] if status.startswith("2")]
            for status in (*succeeds, *_ANYTIME, *(_WITH_BODY if "requestBody" in operation else ())):
                yield path, method.upper(), int(status)
