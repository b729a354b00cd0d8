"""The metrics endpoint of a role: ``/metrics``, ``/healthz`` and ``/readyz`` from threads of its own."""

import json
import logging
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from threading import Thread
from types import TracebackType
from typing import Self

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from importance.errors import InvalidInput

_log = logging.getLogger(__name__)

Reasons = Callable[[], Sequence[str]]
"""Why the role is not ready now; empty when it is."""


def render(registry: CollectorRegistry) -> tuple[bytes, str]:
    """Return all metrics in Prometheus' text format, and its content type."""
    return generate_latest(registry), CONTENT_TYPE_LATEST


class Exporter:
    """Serves the metrics endpoint of one role until closed. Port 0 takes a free port; ``url`` has it."""

    def __init__(self, registry: CollectorRegistry, not_ready: Reasons, host: str = "127.0.0.1", port: int = 0) -> None:
        try:
            self._server = _Server(host, port, registry, not_ready)
        except OSError as error:
            raise InvalidInput(f"cannot serve metrics at {host}:{port}: {error}; choose another port") from error
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening. Requests under way are left to end by themselves."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int, registry: CollectorRegistry, not_ready: Reasons) -> None:
        self.registry, self.not_ready = registry, not_ready
        self.address_family = AF_INET6 if ":" in host else AF_INET
        super().__init__((host, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # seconds that a silent client may hold a thread

    def do_GET(self) -> None:
        match self.path.partition("?")[0]:
            case "/metrics":
                self._answer(HTTPStatus.OK, *render(self.server.registry))
            case "/healthz":
                self._answer_json(HTTPStatus.OK, {"status": "alive"})
            case "/readyz":
                reasons = list(self.server.not_ready())
                status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
                self._answer_json(status, {"ready": not reasons, "reasons": reasons})
            case path:
                detail = f"no such path: {path}; see /metrics, /healthz and /readyz"
                self._answer_json(HTTPStatus.NOT_FOUND, {"status": 404, "title": "Not Found", "detail": detail})

    def _answer_json(self, status: HTTPStatus, value: dict[str, object]) -> None:
        kind = "application/problem+json" if status is HTTPStatus.NOT_FOUND else "application/json"
        self._answer(status, json.dumps(value).encode(), kind)

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *values: object) -> None:  # noqa: A002  # the base class's name
        _log.debug(format, *values)
