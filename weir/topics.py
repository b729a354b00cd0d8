"""Topics by the settings: their names under the prefix, and what they should be. Loads Kafka's client when called."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream.topics import TopicPlan, Topics
    from weir.settings import Settings


def named_topics(settings: "Settings") -> "Topics":
    """The names of the topics under the prefix of the settings."""
    from stream.topics import Topics

    plain = Topics()
    names = (plain.interactions, plain.dead, plain.importance, plain.models)
    return Topics(*(settings.topic_prefix + name for name in names))


def planned_topics(settings: "Settings") -> "tuple[TopicPlan, ...]":
    """What the topics should be by the settings."""
    from stream.topics import planned

    return planned(named_topics(settings), settings.partitions, settings.replication)
