"""Detect a Kafka that does not answer, also one that hangs, for roles that have no consumer to notice it."""

from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType
from typing import Self

from importance.errors import InvalidInput, Unavailable
from stream.connecting import require_broker
from stream.connection import KafkaConnection

ANSWER_SECONDS = 5.0  # for all addresses together; a healthy broker answers in milliseconds, a busy one in a second
_POLL_SECONDS = 1.0


class KafkaWatch:
    """Polls the brokers of ``connection`` every second of a ``with`` block; each result goes to ``notify``.

    ``notify(available, reason)`` is called on the watch's thread. A poll is a request that waits for its answer, on a
    connection of its own: the kernel of a stopped broker goes on accepting connections and bytes. ``trouble`` is why
    the last poll failed, None while Kafka is available or not polled yet; callers check it before a request that would
    wait for its timeout.
    """

    def __init__(self, connection: KafkaConnection, notify: Callable[[bool, str], None]) -> None:
        self.trouble: str | None = None
        self._connection = connection
        self._notify = notify
        self._ended = Event()
        self._thread = Thread(target=self._watch, name="weir-kafka-watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        seconds_each = ANSWER_SECONDS / len(self._connection.addresses)
        while not self._ended.is_set():
            try:
                require_broker(self._connection, seconds_each)
            except (InvalidInput, Unavailable) as error:  # certificates are read at each poll, and may be exchanged
                self.trouble = str(error)
            else:
                self.trouble = None
            self._notify(self.trouble is None, self.trouble or "")
            self._ended.wait(_POLL_SECONDS)
