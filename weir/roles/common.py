"""What the roles share: their log, their end by a signal, and how they wait for a database to be ready."""

import gc
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TypeVar

from importance.errors import NotFound, Unavailable
from importance.reservoir import Score
from storage import migrate
from storage.engine import Engine, create_engine
from storage.registry import Registry
from storage.rescoring import Progress, Rescoring
from weir.operations import Announce, announcer
from weir.process import logs
from weir.process.scratch import sweep
from weir.process.signals import handled
from weir.roles.reporting import Reporting
from weir.roles.watching import Watch
from weir.settings import Settings, secrets, values

T = TypeVar("T")
_log = logs.logger(__name__)


def begin(settings: Settings, role: str) -> None:
    """Configure the log of this process, and remove what killed ones left."""
    logs.configure(settings.log_level, role, secrets(settings))
    for path in sweep():
        _log.info("removed what a killed process left", directory=str(path))


def database(settings: Settings, role: str, pool_size: int = 5) -> Engine:
    """The engine of a role; connects to nothing yet."""
    return create_engine(settings.database_url, application_name=f"weir {role}", pool_size=pool_size)


def ready_database(engine: Engine) -> bool:
    """True; raises Unavailable unless the database answers and has the tables of this release."""
    if not migrate.check(engine):
        raise Unavailable("the database is not at this release's tables: run 'weir migrate'")
    return True


def rescoring(settings: Settings, engine: Engine, score: Score, on_progress: Progress | None = None) -> Rescoring:
    """What makes the keys of the buffer anew as these settings want them."""
    return Rescoring(engine, values.admission(settings), values.scoring_configs(settings), score, on_progress)


def announcing(settings: Settings, registry: Registry, kafka: Watch) -> Announce:
    """Return what announces an entry of the promotion log, without waiting for a Kafka that is known as unavailable."""

    def report(problem: str) -> None:
        _log.warning("not announced; workers find it by themselves", reason=problem)

    return announcer(settings, registry, report, lambda: kafka.trouble)


def calm_garbage_collection() -> None:
    """Keep the collector from looking in vain, which took a seventh of a worker's time.

    What is loaded by now stays, and need not be gone over again and again; and of the many records and offers that a
    turn makes hardly any is in a cycle, so that looking at every 700th is too often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000)


def delays(settings: Settings) -> Iterator[float]:
    """Seconds to wait before each further attempt: doubling, up to a limit."""
    seconds = settings.retry_first_seconds
    while True:
        yield seconds
        seconds = min(2 * seconds, settings.retry_limit_seconds)


def patiently(attempt: Callable[[], T], what: str, settings: Settings, stop: Event, reporting: Reporting) -> T | None:
    """Try until it is no longer Unavailable or NotFound, saying so once; None when ``stop`` came first."""
    for delay in delays(settings):
        try:
            result = attempt()
        except (Unavailable, NotFound) as error:
            reporting.change(what, False, str(error))
            if stop.wait(delay):
                return None
        else:
            reporting.change(what, True, "")
            return result
    raise AssertionError("the delays never end")


@contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call ``stop``; the second one ends the process at once."""
    asked = False

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        asked = True
        stop()

    with handled(on_signal, signal.SIGINT, signal.SIGTERM):
        yield
