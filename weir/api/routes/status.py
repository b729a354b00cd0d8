"""``GET /v1/status``: whether everything is alive, as `weir.status.service` reports it."""

from fastapi import HTTPException, status

from weir.api.context import ApiContext
from weir.api.limits import Allowance
from weir.api.permissions import Routers
from weir.status.service import Status

MAX_ASKING = 8  # at once: each may wait for Kafka, in a thread that scoring needs


def add(routers: Routers, context: ApiContext) -> None:
    """Add the status."""
    asking = Allowance(MAX_ASKING)

    @routers.viewer.get("/v1/status", tags=["live"])
    def current() -> Status:
        """Roles with the model and the last error of each, partitions with owner and lag, and training."""
        if not asking.take():
            detail = f"{asking.limit} requests ask for the status, as many as may: ask less often"
            raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS, detail)
        try:
            return context.status()
        finally:
            asking.give_back()
