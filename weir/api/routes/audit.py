"""``GET /v1/audit``: who changed what, when, by which way, and why."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from importance.errors import InvalidInput
from storage.audit import Filter
from weir.api.context import ApiContext
from weir.api.permissions import Routers
from weir.api.shapes import Id

MAX_ENTRIES = 500  # of one page


class AuditEntry(BaseModel):
    """One change. ``via``: cli, http, trainer, worker or up; over HTTP ``actor`` is the name of the token."""

    id: int
    time: datetime
    actor: str
    via: str
    action: str
    target: str
    reason: str
    details: dict[str, object]


class AuditLog(BaseModel):
    """A page of the log, newest first; ``next`` is the ``before`` of the next page, null at the end."""

    entries: list[AuditEntry]
    next: int | None


def add(routers: Routers, context: ApiContext) -> None:
    """Add the audit log."""

    @routers.viewer.get("/v1/audit", tags=["audit"])
    def audit(
        since: datetime | None = None,
        actor: Annotated[Id | None, Query(description="who made the change")] = None,
        action: Annotated[Id | None, Query(description="such as models.rollback")] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ENTRIES)] = 100,
        before: Annotated[int | None, Query(ge=1, le=2**63 - 1, description="the id that the page precedes")] = None,
    ) -> AuditLog:
        """Every change of models, training, buffer, partitions, dead letters and tokens, newest first."""
        if since is not None and since.tzinfo is None:
            raise InvalidInput(f"since is {since.isoformat()}, without an offset: write it as 2026-01-01T08:53:00Z")
        found = context.audit.entries(Filter(since, actor, action), limit=limit, before=before)
        return AuditLog(
            entries=[AuditEntry.model_validate(entry, from_attributes=True) for entry in found],
            next=found[-1].id if len(found) == limit else None,
        )
