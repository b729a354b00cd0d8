"""``GET /v1/status``: whether everything is alive, as `weir.status.service` reports it."""

from weir.api.context import ApiContext
from weir.api.few import one_of_few
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
        with one_of_few(asking, "requests ask for the status", "ask less often"):
            return context.status()
