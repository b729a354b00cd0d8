"""The api: scores, rankings, models, the buffer, and the figures that all roles share. Assembled here."""

from collections.abc import Mapping, Sequence
from functools import cache, partial
from threading import Event
from uuid import UUID

from importance import estimators
from importance.errors import Unavailable
from importance.sample import Sample
from monitoring.exporter import page
from monitoring.metrics import DependencyMetrics, HttpMetrics, SharedStateCollector, WorkerMetrics, new_registry
from storage.artifacts import Artifacts
from storage.buffer_reader import BufferReader
from storage.heartbeats import Heartbeats
from storage.quality import Quality
from storage.registry import Registry
from stream.reports import KAFKA, STORAGE
from stream.topics import topic_id
from weir.api.app import create_api
from weir.api.context import ApiContext
from weir.api.figures import shared_state
from weir.api.limits import Limits, Recent
from weir.api.server import ApiServer
from weir.demo.addresses import remedy
from weir.operations import Operations
from weir.process import logs
from weir.roles.common import announcing, begin, database, patiently, ready_database, stopped_by_signals
from weir.roles.heart import Heart
from weir.roles.reporting import Reporting
from weir.roles.serving import Serving
from weir.roles.watching import watch_kafka, watched_storage
from weir.settings import Settings
from weir.settings.connection import kafka_connection
from weir.settings.topics import Measured, measured, named_topics
from weir.status import service
from weir.status.snapshot import Snapshots
from weir.status.stream_estimates import estimates

_log = logs.logger(__name__)
MEASURED_SECONDS = 2.0  # so long Kafka's ends of partitions hold for whoever asks for the status


def run(settings: Settings) -> int:
    """Serve until a signal; the exit status."""
    begin(settings, "api")
    stop = Event()
    metrics = new_registry()
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(metrics, (KAFKA, STORAGE)))
    engine = database(settings, "api", pool_size=10)
    models, reader = Registry(engine), BufferReader(engine)
    artifacts = Artifacts(settings.artifacts_url)
    serving = Serving(settings, models, artifacts)
    reporting.model = serving.standing
    metrics.register(
        SharedStateCollector(lambda: shared_state(models, reader, Quality(engine), lambda: serving.scorer.version))
    )
    kafka = watch_kafka(kafka_connection(settings), reporting)

    @cache
    def topic() -> UUID:
        if kafka.trouble is not None:
            raise Unavailable(kafka.trouble)
        return topic_id(kafka_connection(settings), named_topics(settings).interactions)

    snapshots = Snapshots(engine)

    def score(samples: Sequence[Sample], names: Sequence[str]) -> tuple[str, Mapping[str, Sequence[float]]]:
        version, seen = serving.scorer.estimate(samples, [estimators.get(name) for name in names])
        return version, {name: scores.tolist() for name, scores in seen.importance.items()}

    def predict(samples: Sequence[Sample]) -> tuple[str, Sequence[float]]:
        version, seen = serving.scorer.estimate(samples)
        return version, seen.prediction.tolist()

    asked = Recent(partial(measured, settings), MEASURED_SECONDS)

    def measure() -> Measured:
        return asked() if kafka.trouble is None else Measured(trouble=kafka.trouble)

    degraded: list[str] = []  # as of the last look: a probe asks often, and must not wait for Postgres

    def look_around() -> None:
        degraded[:] = service.degraded(service.roles(Heartbeats(engine).all()), remedy(settings))

    limits = Limits(
        bodies_bytes=settings.api_bodies_bytes,
        scorings=settings.api_scorings,
        header_seconds=settings.api_header_seconds,
        body_seconds=settings.api_body_seconds,
        origins=tuple(settings.api_origins.split(",")) if settings.api_origins else (),
    )
    context = ApiContext(
        registry=models,
        operations=Operations(engine, artifacts, _log.warning, announcing(settings, models, kafka)),
        reader=reader,
        estimates=lambda: estimates(settings, engine),
        snapshot=lambda: snapshots.take(topic()),
        score=score,
        predict=predict,
        not_ready=reporting.reasons,
        degraded=lambda: degraded,
        status=lambda: service.take(engine, measure(), remedy(settings)),
        page=partial(page, metrics),
        metrics=HttpMetrics(metrics),
        limits=limits,
    )
    reporting.change("model", False, "not loaded yet")
    with (
        stopped_by_signals(stop.set),
        ApiServer(
            create_api(context), settings.api_host, settings.api_port, context.closing, limits.header_seconds
        ) as server,
        watched_storage(engine, reporting),
        kafka,
        Heart(settings.database_url, "api", reporting.beat),
    ):
        _log.info("api is served", url=server.url)
        for attempt, what in ((lambda: ready_database(engine), "storage"), (serving.begin, "model")):
            if patiently(attempt, what, settings, stop, reporting) is None:
                return 0
        reporting.started()
        while not stop.wait(settings.models_poll_seconds):
            try:
                serving.look()
                look_around()
            except Unavailable as error:
                reporting.change("storage", False, str(error))
            else:
                reporting.change("storage", True, "")
                reporting.change("model", serving.refusal is None, serving.refusal or "")
            if not server.alive:
                return 1
    return 0
