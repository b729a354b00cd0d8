"""``GET /v1/status``: whether everything is alive, as `weir.status` tells it."""

from fastapi import APIRouter

from weir.api.context import ApiContext
from weir.status import Status


def create_router(context: ApiContext) -> APIRouter:
    """The route of the status."""
    router = APIRouter()

    @router.get("/v1/status", tags=["live"])
    def status() -> Status:
        """Roles with the model and the last error of each, partitions with owner and lag, and training."""
        return context.status()

    return router
