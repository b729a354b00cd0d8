"""Messages for the topic of interactions, before they are sent. Independent of their source."""

from typing import NamedTuple

import msgspec


class Record(NamedTuple):
    """A message before it is sent; ``time_ms``, its event time, becomes its Kafka timestamp.

    ``key`` decides the partition, unless ``partition`` is given.
    """

    key: bytes | None
    value: bytes | None
    time_ms: int
    partition: int | None = None


def heartbeat(time_ms: int) -> Record:
    """Return a message that only moves the event time of the partition that it is sent to."""
    return Record(None, msgspec.json.encode({"type": "heartbeat", "time": time_ms}), time_ms)
