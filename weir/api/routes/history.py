"""``/v1/history``: all that is known of a sample, stored or not."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel

from storage.history import History
from weir.api.context import ApiContext
from weir.api.few import one_of_few
from weir.api.limits import Allowance
from weir.api.permissions import Routers
from weir.api.routes.subjects import TrainedVersion
from weir.api.shapes import Finite, Id

MAX_READING = 2
"""Histories that are read at once: each goes through the lineages of all versions, 18 MB a million samples of one."""

_OF_ROWS = ("stratum", "importance", "estimator", "model", "key", "threshold", "probability")


class SampleHistory(BaseModel):
    """All that is known of a sample.

    ``standing`` is held, leaving, left, erased or unknown; ``why`` explains it, and how far it is known. Of one that is
    not stored only the ``versions`` that learned from it are known.
    """

    id: str
    standing: str
    why: str
    time: datetime | None = None
    stored_at: datetime | None = None
    stratum: str | None = None
    importance: float | None = None
    estimator: str | None = None
    model: str | None = None
    key: Finite | None = None
    threshold: Finite | None = None
    probability: float | None = None
    versions: list[TrainedVersion]


def add(routers: Routers, context: ApiContext) -> None:
    """Add the route."""
    reading = Allowance(MAX_READING)

    @routers.viewer.get("/v1/history/{id:path}", tags=["buffer"])
    def history(id: Annotated[Id, Path(description="the sample's id")]) -> SampleHistory:  # noqa: A002
        """What is known of a sample, stored or not, and which versions learned from it."""
        with one_of_few(reading, "requests read a history", "ask for one at a time"):
            return _shape(context.histories.of(id))


def _shape(found: History) -> SampleHistory:
    known: dict[str, object] = {"id": found.id, "standing": found.standing, "why": found.why}
    known["versions"] = [TrainedVersion.model_validate(each, from_attributes=True) for each in found.versions]
    if found.row is not None:
        known |= {name: getattr(found.row, name) for name in _OF_ROWS}
        known |= {
            "time": datetime.fromtimestamp(found.row.sample.time_ms / 1_000, UTC),
            "stored_at": found.stored_at,
        }
    return SampleHistory.model_validate(known)
