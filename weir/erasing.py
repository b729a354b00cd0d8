"""Erase a subject everywhere: from the database, the topics of Weir, and what will still arrive of before."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from importance.errors import Conflict, NotFound, Unavailable
from importance.fields import Fields
from storage.audit import Author
from storage.engine import Engine
from storage.erasure import Erased, Erasure
from storage.lineage import Lineages, TrainedVersion
from storage.lock import Right, alone
from storage.runs import Runs
from stream import erasure as of_topics
from stream.erasure import TopicErasure
from weir.settings import Settings, values
from weir.settings.connection import kafka_connection
from weir.settings.topics import named_topics

_LATEST_MS = 253_402_300_799_999  # what a time can show


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What was removed of a subject, or with ``dry_run`` would be, and what it leaves behind.

    ``subject`` is its pseudonym. ``rows`` by table. Events after ``welcome_from`` are taken again; None where they
    never are, or nothing was erased yet. ``versions`` were trained on the subject, or tuned from one that was;
    the lineage of those ``unsearchable`` was made under another WEIR_SALT. ``training`` is the run under way, which may
    have drawn its samples.
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


EraseTopics = Callable[[str, bool], list[TopicErasure]]
"""(subject, dry_run) → what was done in each topic."""


def topics_eraser(settings: Settings) -> EraseTopics:
    """Return what erases subjects from the topics of the settings; it raises Unavailable where that is not possible."""

    def erase(subject: str, dry_run: bool) -> list[TopicErasure]:
        if not settings.kafka_bootstrap:
            raise Unavailable("no Kafka is known: set WEIR_KAFKA_BOOTSTRAP")
        fields = Fields.parse(settings.fields)
        return of_topics.erase(kafka_connection(settings), named_topics(settings), subject, fields, dry_run=dry_run)

    return erase


class Eraser:
    """Erases subjects. The database comes first: its tombstone keeps away what topics still hold."""

    def __init__(self, settings: Settings, engine: Engine, erase_topics: EraseTopics) -> None:
        pseudonyms = values.pseudonyms(settings)
        self._erasure, self._lineages, self._runs = (
            Erasure(engine, pseudonyms),
            Lineages(engine, pseudonyms),
            Runs(engine),
        )
        self._engine, self._erase_topics = engine, erase_topics

    def erase(self, subject: str, author: Author, *, block: bool = False, dry_run: bool = False) -> ErasureReport:
        """Erase a subject, or report what that would do. Repeating it is harmless, and completes what failed.

        Raises Conflict, and erases nothing, while another erasure runs: it might send letters again that this one has
        found. Raises Unavailable when the database was erased and Kafka does not answer.
        """
        if dry_run:
            return self._report(subject, self._erasure.preview(subject), self._erase_topics(subject, True), True)
        with alone(self._engine, Right.ERASE) as free:
            if not free:
                raise Conflict("another erasure is running: erase again when it has ended")
            erased = self._erasure.erase(subject, author, block=block)
            try:
                topics = self._erase_topics(subject, False)
            except (Unavailable, NotFound) as error:
                raise Unavailable(f"erased from the database, not yet from Kafka: {error}; then erase again") from error
        return self._report(subject, erased, topics, False)

    def _report(self, subject: str, erased: Erased, topics: list[TopicErasure], dry_run: bool) -> ErasureReport:
        """Read behind the tombstone what learned from it: a version that is registered later counts what was erased."""
        left, last = erased.tombstone, self._runs.last()
        blocked = left is not None and left.is_blocked
        return ErasureReport(
            subject=erased.pseudonym,
            dry_run=dry_run,
            erased=None if left is None else left.erased,
            blocked=blocked,
            welcome_from=None if left is None or blocked else _time(left.until_ms + 1),
            rows=dict(erased.rows),
            versions=self._lineages.trained_on_subject(subject),
            unsearchable=self._lineages.unsearchable(),
            training=last.id if last is not None and last.ended is None else None,
            topics=topics,
        )


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(min(time_ms, _LATEST_MS) / 1_000, UTC)
