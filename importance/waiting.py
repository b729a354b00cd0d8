"""What waits in a join, and how long: an impression for its actions, an action for its impression."""

import msgspec

from importance.errors import InvalidInput
from importance.events import Impression
from importance.fields import Fields
from importance.sample import Rating


class Policy(msgspec.Struct, frozen=True):
    """How events are read, how long impressions, actions and ids are kept (in event time), and how many at most.

    ``window_ms``: an impression waits so long for its actions, and an action for its impression.
    ``deduplication_ms``: an id is kept until event time has passed its own time by so much.
    ``max_waiting``, ``max_waiting_bytes``: impressions that wait; past either, the oldest are decided early.
    ``max_remembered``: ids kept; and offsets, apart from the last chunk, that are read but not acknowledged.
    ``late_letters``: an impression that comes too late, and what answers it, is a dead letter; else only counted.
    ``fields``: where the messages keep an event's fields; None where they have its own names.
    """

    window_ms: int
    deduplication_ms: int
    max_waiting: int = 200_000
    max_waiting_bytes: int = 256 * 2**20
    max_remembered: int = 1_000_000
    late_letters: bool = True
    fields: Fields | None = None

    def __post_init__(self) -> None:
        for name in ("window_ms", "deduplication_ms", "max_waiting", "max_waiting_bytes", "max_remembered"):
            if getattr(self, name) < 1:
                raise InvalidInput(f"the join's {name} is {getattr(self, name)}; it must be at least 1")


class Waiting(msgspec.Struct, gc=False):
    """An impression that is not decided until ``due_ms``.

    ``before_ms`` is event time just before it, ``size`` its bytes on the wire.
    """

    impression: Impression
    offset: int
    due_ms: int
    before_ms: int
    size: int
    actions: int = 0
    rating: Rating | None = None


class Orphan(msgspec.Struct, gc=False):
    """An action without a waiting impression; it corrects the buffer again at ``due_ms``."""

    impression: str
    offset: int
    due_ms: int
    actions: int
    rating: Rating | None
    taken: bool = False
