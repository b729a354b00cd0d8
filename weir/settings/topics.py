"""Topics by the settings: their names and their planned configuration. Loads Kafka's client when called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from importance.errors import NotFound, Unavailable
from weir.settings.connection import kafka_connection

if TYPE_CHECKING:
    from stream.topics import TopicPlan, Topics
    from weir.settings import Settings


@dataclass(frozen=True)
class Measured:
    """The topic of interactions by the broker: its id, and by partition the offset where its readable part ends.

    ``trouble``: why the broker could not be queried; then nothing else is known.
    """

    id: UUID | None = None
    ends: Mapping[int, int] = field(default_factory=dict)
    trouble: str | None = None


def measured(settings: "Settings") -> Measured:
    """Query the broker of the settings."""
    from stream.topics import end_offsets, topic_id

    if not settings.kafka_bootstrap:
        return Measured(trouble="no Kafka is known")
    name = named_topics(settings).interactions
    try:
        kafka = kafka_connection(settings)
        return Measured(topic_id(kafka, name), end_offsets(kafka, name))
    except (NotFound, Unavailable) as error:
        return Measured(trouble=str(error))


def named_topics(settings: "Settings") -> "Topics":
    """Return the names of the topics by the settings."""
    from stream.topics import Topics

    return Topics(
        interactions=settings.topic_interactions,
        dead=settings.topic_dead,
        importance=settings.topic_importance,
        models=settings.topic_models,
    )


def planned_topics(settings: "Settings") -> "tuple[TopicPlan, ...]":
    """Return the planned configuration of the topics by the settings."""
    from stream.topics import planned

    return planned(named_topics(settings), settings.partitions, settings.replication)
