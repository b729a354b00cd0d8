"""``/v1/models/{version}/lineage``: which samples a version was made of."""

from datetime import UTC, datetime

from pydantic import BaseModel

from weir.api.context import ApiContext
from weir.api.permissions import Routers
from weir.api.routes.models import VersionName


class Lineage(BaseModel):
    """Which samples a version was made of: ``samples`` of ``subjects`` were in batches, ``draws`` times in all.

    ``earliest`` and ``latest`` are event times; ``strata``: name → share of the samples. The estimators' state was
    fitted to ``measured`` samples, in batches or not. Of both, ``erased`` are of subjects that were erased since.
    """

    version: str
    samples: int
    subjects: int
    draws: int
    effective_sample_size: float
    earliest: datetime | None
    latest: datetime | None
    strata: dict[str, float]
    measured: int
    erased: int


def add(routers: Routers, context: ApiContext) -> None:
    """Add the route."""

    @routers.viewer.get("/v1/models/{version}/lineage", tags=["models"])
    def lineage(version: VersionName) -> Lineage:
        """Which samples a version was made of; 404 where it was not trained here."""
        found = context.lineages.summary(version)
        return Lineage(
            version=version,
            samples=found.samples,
            subjects=found.subjects,
            draws=found.draws,
            effective_sample_size=found.effective_sample_size,
            earliest=_time(found.earliest_ms),
            latest=_time(found.latest_ms),
            strata=found.strata,
            measured=found.measured,
            erased=context.lineages.erased(version),
        )


def _time(time_ms: int | None) -> datetime | None:
    return None if time_ms is None else datetime.fromtimestamp(time_ms / 1_000, UTC)
