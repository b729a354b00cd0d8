"""Announce changes of the promotion log from a role, without waiting for a Kafka that is unavailable."""

from storage.registry import Entry, Registry
from weir.announcing import tell
from weir.process import logs
from weir.roles.watching import Watch
from weir.settings import Settings
from weir.settings.connection import kafka_connection
from weir.settings.topics import named_topics

_log = logs.logger(__name__)


def announce(settings: Settings, registry: Registry, kafka: Watch, entry: Entry) -> None:
    """Wake the workers; where that fails, log it: they poll the promotion log."""
    problem = kafka.trouble or tell(kafka_connection(settings), named_topics(settings).models, registry, entry)
    if problem is not None:
        _log.warning("not announced; workers find it by themselves", reason=problem)
