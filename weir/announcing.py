"""Tell the topic ``models`` what the promotion log already holds. Postgres is the truth, the topic only a wake-up."""

from importance.errors import Unavailable
from storage.registry import Entry, Registry
from stream.announcements import Announcement, announce
from stream.connection import KafkaConnection


def tell(
    connection: KafkaConnection, topic: str, registry: Registry, entry: Entry, timeout_seconds: float = 5.0
) -> str | None:
    """Announce the version that ``entry`` let serve; None, or why nobody could be told (they find it by themselves).

    Raises nothing: the change is made, and whoever made it must not be told that it failed.
    """
    assert entry.to_version is not None
    try:
        announcement = Announcement(
            sequence=entry.sequence,
            version=entry.to_version,
            previous=entry.from_version,
            actor=entry.actor,
            reason=entry.reason,
            time=entry.time,
            sha256=registry.version(entry.to_version).sha256,
        )
        announce(connection, topic, announcement, timeout_seconds)
    except Unavailable as error:
        return str(error)
    return None
