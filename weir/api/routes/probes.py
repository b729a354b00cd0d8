"""``/healthz``, ``/readyz`` and ``/metrics``: what an orchestrator and Prometheus ask."""

from typing import Literal

from fastapi import Response, status
from pydantic import BaseModel

from weir.api.context import ApiContext
from weir.api.permissions import Routers


class Health(BaseModel):
    """The process is alive."""

    status: Literal["alive"] = "alive"


class Readiness(BaseModel):
    """Whether the role can work, and why not. ``degraded``: what the rest of the service lacks; it stays ready.

    Off loopback anyone may ask: ``reasons`` are then the names of what is not ready, without addresses and users of
    databases, and ``degraded`` is empty.
    """

    ready: bool
    reasons: list[str]
    degraded: list[str] = []


def add(routers: Routers, context: ApiContext) -> None:
    """Add the probes."""

    # Health and readiness wait for nothing, so they need no thread: all of them may be taken.
    @routers.open.get("/healthz", tags=["probes"])
    async def healthz() -> Health:
        """200 while the process is alive."""
        return Health()

    @routers.open.get("/readyz", tags=["probes"], responses={503: {"model": Readiness, "description": "Not ready"}})
    async def readyz(response: Response) -> Readiness:
        """200 when requests can be served, else 503 with the reasons; ``degraded`` names other roles that are gone."""
        missing = context.not_ready()
        if missing:
            response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
        if context.access.exposed:
            return Readiness(ready=not missing, reasons=list(missing))
        reasons = [f"{name}: {reason}" for name, reason in missing.items()]
        return Readiness(ready=not missing, reasons=reasons, degraded=list(context.degraded()))

    @routers.viewer.get("/metrics", tags=["probes"], response_class=Response)
    def metrics() -> Response:
        """All metrics in Prometheus' text format."""
        body, content_type = context.render_metrics()
        return Response(body, headers={"Content-Type": content_type})
