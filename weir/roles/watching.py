"""Poll a dependency from a thread, and report when it is unavailable and when it recovered."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from threading import Event

from importance.errors import InvalidInput, Unavailable
from storage.engine import Engine
from storage.hanging import HangProbe
from stream.connecting import ANSWER_SECONDS, require_broker
from stream.connection import KafkaConnection
from stream.reports import KAFKA, STORAGE
from weir.process.background import Attempts, Background
from weir.roles.reporting import Reporting

POLL_SECONDS = 1.0
_WITNESS = "watch"

Ask = Callable[[], str | None]
"""None when the dependency answers, else why not. Raises Unavailable when it could not be asked: nothing changes."""


class Watch(Background):
    """Calls ``ask`` every second of a ``with`` block; ``notify(available, reason)`` is called at each change.

    The first result is a change. ``trouble`` is the last result: why the dependency does not answer, None when it does
    or was not asked yet; callers check it before a request that would wait for its timeout. Whatever ``ask`` or
    ``notify`` raises, the next poll comes.
    """

    def __init__(self, name: str, ask: Ask, notify: Callable[[bool, str], None]) -> None:
        self.trouble: str | None = None
        self._ask = ask
        self._notify = notify
        self._notified: str | bool | None = False  # not yet; else the trouble that was
        self._attempt = Attempts(f"watch of {name}")
        self._ended = Event()
        super().__init__(f"weir-watch-{name}", self._poll_until_ended, self._ended.set)

    def _poll_until_ended(self) -> None:
        while not self._ended.is_set():
            self._attempt(self._poll)  # a role that is no longer watched would be reported as it was, for ever
            self._ended.wait(POLL_SECONDS)

    def _poll(self) -> None:
        self.trouble = trouble = self._ask()
        if trouble != self._notified:
            self._notify(trouble is None, trouble or "")
            self._notified = trouble


@contextmanager
def watched_storage(engine: Engine, reporting: Reporting) -> Iterator[Watch]:
    """Watch Postgres for the length of a block; connections that wait for one that hangs are ended."""
    report = partial(reporting.change, STORAGE, witness=_WITNESS)
    with closing(HangProbe(engine)) as probe, Watch(STORAGE, probe, report) as watch:
        yield watch


def watch_kafka(connection: KafkaConnection, reporting: Reporting) -> Watch:
    """Return what watches Kafka, by a request: the kernel of a stopped broker continues to accept connections."""
    ask = partial(_ask_brokers, connection, ANSWER_SECONDS / len(connection.addresses))
    return Watch(KAFKA, ask, partial(reporting.change, KAFKA, witness=_WITNESS))


def _ask_brokers(connection: KafkaConnection, seconds_each: float) -> str | None:
    try:
        require_broker(connection, seconds_each)
    except (InvalidInput, Unavailable) as error:  # certificates are read at each poll, and may be replaced meanwhile
        return str(error)
    return None
