"""``/v1/models``: versions, the promotion log, promotion and rollback."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel

from importance.errors import InvalidInput
from storage.registry import Entry, Version, served_at
from weir.api import shapes
from weir.api.context import ApiContext
from weir.api.permissions import Actor, Routers
from weir.api.shapes import NO_REASON, OptionalReason, Request, Why
from weir.status.comparisons import LiveComparison, ProposedRollback, live_tests

VersionName = Annotated[shapes.Version, Path(description="a version of GET /v1/models")]


class ModelVersion(BaseModel):
    """A version of the model. ``metrics`` are those of its evaluation and the gate's decision."""

    version: str
    parent: str | None
    state: str
    created: datetime
    metrics: dict[str, object]


class LogEntry(BaseModel):
    """One entry of the promotion log: who, why, when, from, to."""

    sequence: int
    kind: Literal["promote", "rollback", "freeze", "unfreeze"]
    from_version: str | None
    to_version: str | None
    actor: str
    reason: str
    time: datetime


class PromotionLog(BaseModel):
    """All entries of the promotion log, oldest first; ``version``: what was active ``at`` a time, if one was given."""

    at: datetime | None
    version: str | None
    log: list[LogEntry]


class ModelDetails(ModelVersion):
    """A version with the location of its files, whether it is in quarantine, and its entries in the log."""

    artifact: str
    sha256: str
    quarantined: bool
    log: list[LogEntry]


class Quarantined(BaseModel):
    """Whether a version is in quarantine now."""

    version: str
    quarantined: bool


class Models(BaseModel):
    """The active version, whether training is frozen, what live traffic compares, and all versions, oldest first."""

    active: str | None
    frozen: bool
    shadow: LiveComparison | None
    mirror: LiveComparison | None
    rollback_proposed: ProposedRollback | None
    versions: list[ModelVersion]


class RollbackRequest(Request):
    """``version``: where to go back to; by default the previous one."""

    version: shapes.Version | None = None
    reason: Why


class Serving(BaseModel):
    """The active version after a promotion or a rollback, and the log's sequence of it."""

    sequence: int
    version: str
    frozen: bool


def add(routers: Routers, context: ApiContext) -> None:
    """Add the routes of the registry."""
    registry = context.registry

    @routers.viewer.get("/v1/models", tags=["models"])
    def models() -> Models:
        """The active version, whether training is frozen, and all versions, without the checks of the gate."""
        active = registry.active()
        tests = live_tests(registry.comparisons, active.version if active else None)
        return Models(
            active=active.version if active else None,
            frozen=registry.frozen(),
            shadow=tests.shadow,
            mirror=tests.mirror,
            rollback_proposed=tests.rollback_proposed,
            versions=[_listed(version) for version in registry.versions()],
        )

    @routers.viewer.get("/v1/models/log", tags=["models"])
    def log(at: datetime | None = None) -> PromotionLog:
        """The whole append-only promotion log, oldest first; with ``at`` also the version that was active then."""
        if at is not None and at.tzinfo is None:
            raise InvalidInput(f"at is {at.isoformat()}, without an offset from UTC: write it as 2026-01-01T08:53:00Z")
        entries = registry.log()
        version = None if at is None else served_at(entries, at)
        return PromotionLog(at=at, version=version, log=[_entry(entry) for entry in entries])

    @routers.viewer.get("/v1/models/{version}", tags=["models"])
    def model(version: VersionName) -> ModelDetails:
        """One version, with its files and its entries in the log."""
        found = registry.version(version)
        log = [_entry(entry) for entry in registry.log(version)]
        quarantined = context.quarantine.of(version) is not None
        return ModelDetails(
            **_described(found).model_dump(), artifact=found.artifact, sha256=found.sha256, quarantined=quarantined,
            log=log,
        )  # fmt: skip

    @routers.operator.post("/v1/models/rollback", tags=["models"])
    def rollback(actor: Actor, request: RollbackRequest) -> Serving:
        """Activate an earlier version again, and freeze training. Repeated, it walks further back."""
        entry = context.operations.rollback(request.version, actor=actor, reason=request.reason)
        return _serving(entry, frozen=True)

    @routers.operator.post("/v1/models/{version}/promote", tags=["models"])
    def promote(version: VersionName, actor: Actor, request: OptionalReason = NO_REASON) -> Serving:
        """Activate a version, whatever the gate's decision; 409 when its files are not as registered."""
        frozen = registry.frozen()  # read before: once the change is made, no error may hide it
        entry = context.operations.promote(version, actor=actor, reason=request.reason)
        return _serving(entry, frozen)

    @routers.operator.post("/v1/models/{version}/lift", tags=["models"])
    def lift(version: VersionName, actor: Actor, request: OptionalReason = NO_REASON) -> Quarantined:
        """End the quarantine of a version that was rolled back; 409 where none stands."""
        context.operations.lift(version, actor=actor, reason=request.reason)
        return Quarantined(version=version, quarantined=False)


def _listed(version: Version) -> ModelVersion:
    """Return a version without the gate's checks, which are too long for a list."""
    described = _described(version)
    return described.model_copy(update={"metrics": {k: v for k, v in described.metrics.items() if k != "checks"}})


def _described(version: Version) -> ModelVersion:
    return ModelVersion.model_validate(version, from_attributes=True)


def _entry(entry: Entry) -> LogEntry:
    return LogEntry.model_validate(entry, from_attributes=True)


def _serving(entry: Entry, frozen: bool) -> Serving:
    assert entry.to_version is not None
    return Serving(sequence=entry.sequence, version=entry.to_version, frozen=frozen)
