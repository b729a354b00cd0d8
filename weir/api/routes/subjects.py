"""``/v1/subjects``: erase a subject."""

from datetime import datetime
from typing import Annotated

from fastapi import Path, Query
from pydantic import BaseModel

from storage.audit import Author, Via
from weir.api.context import ApiContext
from weir.api.permissions import Actor, Routers
from weir.api.shapes import Id, Why


class Use(BaseModel):
    """What a subject's samples, or one sample, had in the making of a version.

    ``samples`` were in batches, ``draws`` times in all, with a mean ``weight``; ``measured`` fitted the estimators'
    state.
    """

    samples: int
    draws: int
    weight: float
    measured: int


class TrainedVersion(BaseModel):
    """A version that learned from it; ``use`` is null where only a version did that this one was tuned from."""

    version: str
    state: str
    created: datetime
    use: Use | None


class TopicErasure(BaseModel):
    """What was removed of a topic, what remains there, and after how many milliseconds Kafka deletes that by age."""

    topic: str
    removed: int
    remain: str | None
    retention_ms: int | None


class ErasureReport(BaseModel):
    """What was removed, with ``dry_run`` what would be, and what remains. ``subject`` is its pseudonym.

    Later events are taken from the event time ``welcome_from`` on; null where the subject is ``blocked``, or was never
    erased. ``unsearchable``: versions whose lineage was made under another WEIR_SALT. ``training``: a run under way
    that may have drawn its samples, after which it should be erased again.
    """

    subject: str
    dry_run: bool
    erased: datetime | None
    blocked: bool
    welcome_from: datetime | None
    rows: dict[str, int]
    versions: list[TrainedVersion]
    unsearchable: list[str]
    training: int | None
    topics: list[TopicErasure]


def add(routers: Routers, context: ApiContext) -> None:
    """Add the route."""

    @routers.operator.delete("/v1/subjects/{id:path}", tags=["privacy"])
    def erase(
        id: Annotated[Id, Path(description="the subject as events name it")],  # noqa: A002
        actor: Actor,
        reason: Why = "asked for over HTTP",
        block: Annotated[bool, Query(description="refuse later events of the subject, too, for ever")] = False,
        dry_run: Annotated[bool, Query(description="only report what would be removed")] = False,
    ) -> ErasureReport:
        """Remove a subject's samples, keys and dead letters; 409 while another erasure runs.

        503 where Kafka does not answer: repeat it then.
        """
        report = context.eraser.erase(id, Author(actor, Via.HTTP, reason), block=block, dry_run=dry_run)
        return ErasureReport.model_validate(report, from_attributes=True)
