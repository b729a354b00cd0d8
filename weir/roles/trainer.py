"""The trainer: assembles the learning loop with its lock, its metrics endpoint and its announcements."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from monitoring.exporter import Exporter
from monitoring.metrics import DependencyMetrics, TrainerMetrics, WorkerMetrics, new_registry
from storage.engine import Engine
from storage.lock import TrainerLock
from storage.registry import Registry
from storage.runs import RESULTS
from stream.reports import KAFKA, STORAGE
from trainer.device import use_threads
from weir.learning.loop import LearningLoop
from weir.operations import Announce
from weir.process import logs
from weir.process.signals import stopped_by_signals
from weir.roles.common import announcing, database, ready_database, retry_until_available, start_process
from weir.roles.heartbeat import heartbeat
from weir.roles.mirroring import mirroring
from weir.roles.reporting import Reporting
from weir.roles.watching import watch_kafka, watched_storage
from weir.settings import Settings
from weir.settings.connection import kafka_connection

_log = logs.logger(__name__)
_POLL_SECONDS = 0.3


def run(settings: Settings) -> int:
    """Train until a signal; return the exit status."""
    start_process(settings, "trainer")
    use_threads(settings.threads)
    stop = Event()
    registry = new_registry()
    metrics = TrainerMetrics(registry, RESULTS)
    dependencies = (KAFKA, STORAGE) if settings.kafka_bootstrap else (STORAGE,)
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(registry, dependencies))
    engine = database(settings, "trainer")
    with (
        stopped_by_signals(stop.set),
        Exporter(registry, reporting.reasons, settings.metrics_host, settings.metrics_port) as endpoint,
        watched_storage(engine, reporting),
        _announcing(settings, engine, reporting) as announce,
        heartbeat(settings.database_url, "trainer", reporting.heartbeat),
    ):
        _log.info("metrics endpoint started", url=endpoint.url)
        if retry_until_available(lambda: ready_database(engine), "storage", settings, stop, reporting) is None:
            return 0
        lock = TrainerLock(engine)
        loop = LearningLoop(settings, engine, lock, metrics, reporting, stop, announce)
        reporting.started()
        # The lock is released first: a request to MLflow may have to be waited for.
        with mirroring(settings, engine, metrics, lambda: loop.leads), lock:
            while not stop.wait(_POLL_SECONDS):
                retry_until_available(loop.poll, "storage", settings, stop, reporting)
    return 0


@contextmanager
def _announcing(settings: Settings, engine: Engine, reporting: Reporting) -> Iterator[Announce]:
    """Yield what announces a promotion. A trainer needs no Kafka; one that is set is watched and reported."""
    if not settings.kafka_bootstrap:
        yield lambda _: None
        return
    with watch_kafka(kafka_connection(settings), reporting) as kafka:
        yield announcing(settings, Registry(engine), kafka)
