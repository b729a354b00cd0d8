"""What the roles share: the start of their process, their database, and retries until a dependency is available."""

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from importance.errors import NotFound, Unavailable
from importance.reservoir import Score
from storage import migrate
from storage.audit import Author
from storage.engine import Engine, create_engine
from storage.registry import Registry
from storage.rescoring import Progress, Rescoring
from weir.operations import Announce, announcer
from weir.process import logs
from weir.process.scratch import sweep
from weir.roles.reporting import Reporting
from weir.roles.watching import Watch
from weir.settings import Settings, secrets, values

T = TypeVar("T")
_log = logs.logger(__name__)


def start_process(settings: Settings, role: str) -> None:
    """Configure the log of this process, and remove what killed processes left."""
    logs.configure(settings.log_level, role, secrets(settings))
    for path in sweep():
        _log.info("removed what a killed process left", directory=str(path))


def database(settings: Settings, role: str, pool_size: int = 5) -> Engine:
    """Return the engine of a role; it connects to nothing yet."""
    return create_engine(settings.database_url, application_name=f"weir {role}", pool_size=pool_size)


def ready_database(engine: Engine) -> bool:
    """Return True; raise Unavailable unless the database answers and has the tables of this release."""
    if not migrate.check(engine):
        raise Unavailable("the database is not at this release's tables: run 'weir migrate'")
    return True


def rescoring(
    settings: Settings,
    engine: Engine,
    score: Score,
    author: Author,
    on_progress: Progress | None = None,
) -> Rescoring:
    """Return what makes the keys of the buffer again by these settings."""
    configs = values.scoring_configs(settings)
    return Rescoring(engine, values.admission(settings), configs, score, author, on_progress)


def announcing(settings: Settings, registry: Registry, kafka: Watch) -> Announce:
    """Return what announces an entry of the promotion log, without waiting for a Kafka that is unavailable."""

    def report(problem: str) -> None:
        _log.warning("not announced; workers find it by themselves", reason=problem)

    return announcer(settings, registry, report, lambda: kafka.trouble)


def retry_until_available(
    attempt: Callable[[], T], dependency: str, settings: Settings, stop: Event, reporting: Reporting
) -> T | None:
    """Return the result of ``attempt``, retried while it raises Unavailable or NotFound; None when ``stop`` came first.

    The pause doubles from ``retry_first_seconds`` to ``retry_limit_seconds``; whether ``dependency`` is available is
    reported.
    """
    seconds = settings.retry_first_seconds
    while True:
        try:
            result = attempt()
        except (Unavailable, NotFound) as error:
            reporting.change(dependency, False, str(error))
            if stop.wait(seconds):
                return None
            seconds = min(2 * seconds, settings.retry_limit_seconds)
        else:
            reporting.change(dependency, True, "")
            return result
