"""The api: assembles the HTTP interface over Postgres, the artifact store, Kafka and the model it scores with."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache, partial
from threading import Event
from uuid import UUID

from importance import estimators
from importance.errors import InvalidInput, Unavailable
from importance.sample import Sample
from monitoring.exporter import render
from monitoring.metrics import DependencyMetrics, HttpMetrics, SharedStateCollector, WorkerMetrics, new_registry
from monitoring.rank_metrics import RankMetrics
from storage.artifacts import Artifacts
from storage.audit import Audit, Via
from storage.buffer_reader import BufferReader
from storage.comparisons import LiveTest
from storage.drift import Drift
from storage.engine import Engine
from storage.heartbeats import Heartbeats
from storage.history import Histories
from storage.lineage import Lineages
from storage.quality import Quality
from storage.quarantine import Quarantine
from storage.registry import Registry
from storage.tokens import Tokens
from stream.reports import KAFKA, STORAGE
from stream.topics import topic_id
from weir.api.access import Access
from weir.api.app import create_api
from weir.api.certificate import Certificate
from weir.api.context import ApiContext
from weir.api.limits import Limits, Recent
from weir.api.server import ApiServer, serve
from weir.api.shared_state import shared_state
from weir.demo.addresses import remedy
from weir.erasing import Eraser, topics_eraser
from weir.operations import Operations
from weir.process import logs
from weir.process.signals import stopped_by_signals
from weir.roles.announced import Listening
from weir.roles.common import announcing, database, ready_database, retry_until_available, start_process
from weir.roles.comparing import Comparing, comparing
from weir.roles.heartbeat import heartbeat
from weir.roles.rankings import RoutedRankings
from weir.roles.reporting import Reporting
from weir.roles.serving import Serving
from weir.roles.watching import Watch, watch_kafka, watched_storage
from weir.settings import Settings, values
from weir.settings.connection import kafka_connection
from weir.settings.drift import drift_reader
from weir.settings.topics import Measured, measured, named_topics
from weir.status import selection, service
from weir.status.selection import SelectionStatus
from weir.status.snapshot import Snapshots
from weir.status.stream_estimates import estimates

_log = logs.logger(__name__)
_OFFSETS_SECONDS = 2.0  # for how long the end offsets of Kafka's partitions are reused by requests for the status


def run(settings: Settings) -> int:
    """Serve until a signal; return the exit status."""
    start_process(settings, "api")
    stop, wake = Event(), Event()

    def end() -> None:
        stop.set()
        wake.set()

    resources = _open(settings)
    context = _context(settings, resources)
    certificate = _certificate(settings)
    with (
        stopped_by_signals(end),
        closing(resources.rankings),
        serve(
            create_api(context),
            settings.api_host,
            settings.api_port,
            context.closing,
            context.limits.header_seconds,
            certificate,
        ) as server,
        watched_storage(resources.engine, resources.reporting),
        resources.kafka,
        Listening(settings, wake.set),
        heartbeat(settings.database_url, "api", resources.reporting.heartbeat),
    ):
        _log.info("api is served", url=server.url)
        return _serve(settings, resources, server, certificate, stop, wake)


class _OtherRoles:
    """What the rest of the service lacks, as of the last poll: a probe asks often, and must not wait for Postgres."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._heartbeats = Heartbeats(engine)
        self._remedy = remedy(settings)
        self.degraded: Sequence[str] = ()

    def poll(self) -> None:
        """Read the heartbeats of all roles. Raises Unavailable when Postgres does not answer."""
        self.degraded = service.degraded(service.roles(self._heartbeats.all()), self._remedy)


@dataclass(frozen=True)
class _Resources:
    """What the api reads from, scores with and reports to. ``render_metrics`` returns /metrics and its content type."""

    engine: Engine
    registry: Registry
    reader: BufferReader
    drift: Drift
    selection: Callable[[], SelectionStatus]
    artifacts: Artifacts
    serving: Serving
    comparing: Comparing
    other_roles: _OtherRoles
    kafka: Watch
    reporting: Reporting
    http_metrics: HttpMetrics
    rankings: RoutedRankings
    render_metrics: Callable[[], tuple[bytes, str]]


def _open(settings: Settings) -> _Resources:
    """Make the resources; none of them connects to anything yet."""
    metrics = new_registry()
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(metrics, (KAFKA, STORAGE)))
    reporting.change("model", False, "not loaded yet")
    engine = database(settings, "api", pool_size=10)
    registry, reader, quality = Registry(engine), BufferReader(engine), Quality(engine)
    artifacts = Artifacts(settings.artifacts_url)
    serving = Serving(settings, registry, artifacts)
    reporting.model = serving.state
    heartbeats, drift = Heartbeats(engine), drift_reader(settings, engine)
    exported = selection.reader(settings, engine, with_race=False)
    metrics.register(
        SharedStateCollector(
            lambda: shared_state(registry, reader, quality, heartbeats, drift, exported, lambda: serving.scorer.version)
        )
    )
    return _Resources(
        engine=engine,
        registry=registry,
        reader=reader,
        drift=drift,
        selection=selection.reader(settings, engine),
        artifacts=artifacts,
        serving=serving,
        comparing=comparing(settings, engine, serving, {LiveTest.SHADOW: float(settings.canary_share > 0)}),
        other_roles=_OtherRoles(settings, engine),
        kafka=watch_kafka(kafka_connection(settings), reporting),
        reporting=reporting,
        http_metrics=HttpMetrics(metrics),
        rankings=RoutedRankings(settings, serving.scorer, RankMetrics(metrics)),
        render_metrics=partial(render, metrics),
    )


def _context(settings: Settings, resources: _Resources) -> ApiContext:
    """Give the interface what its routes call."""
    engine, registry, kafka = resources.engine, resources.registry, resources.kafka
    scorer, snapshots = resources.serving.scorer, Snapshots(engine)
    recent = Recent(partial(measured, settings), _OFFSETS_SECONDS)

    @cache
    def topic() -> UUID:
        if kafka.trouble is not None:
            raise Unavailable(kafka.trouble)
        return topic_id(kafka_connection(settings), named_topics(settings).interactions)

    def offsets() -> Measured:
        return recent() if kafka.trouble is None else Measured(trouble=kafka.trouble)

    def score(samples: Sequence[Sample], names: Sequence[str]) -> tuple[str, Mapping[str, Sequence[float]]]:
        version, scored = scorer.estimate(samples, [estimators.get(name) for name in names])
        return version, {name: scores.tolist() for name, scores in scored.importance.items()}

    return ApiContext(
        access=Access(Tokens(engine), exposed=settings.api_is_exposed, failures=settings.api_auth_failures),
        audit=Audit(engine),
        registry=registry,
        quarantine=Quarantine(engine),
        operations=Operations(
            engine, resources.artifacts, _log.warning, Via.HTTP, announcing(settings, registry, kafka)
        ),
        reader=resources.reader,
        lineages=Lineages(engine, values.pseudonyms(settings)),
        histories=Histories(engine, values.pseudonyms(settings)),
        eraser=Eraser(settings, engine, topics_eraser(settings)),
        drift=resources.drift,
        selection=resources.selection,
        estimates=lambda: estimates(settings, engine),
        snapshot=lambda: snapshots.take(topic()),
        score=score,
        rankings=resources.rankings,
        recent_texts=_recent_texts(settings, resources),
        not_ready=resources.reporting.unavailable,
        degraded=lambda: resources.other_roles.degraded,
        status=lambda: service.take(engine, offsets(), remedy(settings), resources.selection),
        render_metrics=resources.render_metrics,
        metrics=resources.http_metrics,
        limits=_limits(settings),
    )


def _recent_texts(settings: Settings, resources: _Resources) -> Callable[[str], Sequence[str]] | None:
    """Return what reads the context of a ranking: it waits for no timeout of a database that is known not to answer."""
    recent_items = values.recent_items(settings)
    if recent_items is None:
        return None

    def read(subject: str) -> Sequence[str]:
        if (trouble := resources.reporting.unavailable().get(STORAGE)) is not None:
            raise Unavailable(trouble)
        return recent_items.of(resources.engine, subject)

    return read


def _limits(settings: Settings) -> Limits:
    hosts = _listed(settings.api_allowed_hosts)
    return Limits(
        bodies_bytes=settings.api_bodies_bytes,
        scorings=settings.api_scorings,
        header_seconds=settings.api_header_seconds,
        body_seconds=settings.api_body_seconds,
        origins=_listed(settings.api_origins),
        hosts=None if settings.api_is_exposed and not hosts else hosts,
    )


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


def _certificate(settings: Settings) -> Certificate | None:
    if settings.api_tls_certificate is None or settings.api_tls_key is None:
        return None
    return Certificate(settings.api_tls_certificate, settings.api_tls_key)


def _ready_storage(settings: Settings, engine: Engine) -> bool:
    """Return True; raise Unavailable as `ready_database` does, InvalidInput where every request would be refused."""
    ready_database(engine)
    tokens = Tokens(engine)
    if settings.api_is_exposed and not any(token.is_live(tokens.now()) for token in tokens.all()):
        raise InvalidInput(
            f"WEIR_API_HOST is {settings.api_host!r}, and there is no live token: create one first, "
            "weir tokens create NAME --role operator"
        )
    return True


def _renew(certificate: Certificate) -> None:
    """Use a renewed certificate; one that cannot be used is logged, as the one of before may be valid still."""
    try:
        if certificate.refresh():
            _log.info("certificate read again")
    except InvalidInput as error:
        _log.error("certificate not read again", reason=str(error))


def _serve(
    settings: Settings,
    resources: _Resources,
    server: ApiServer,
    certificate: Certificate | None,
    stop: Event,
    wake: Event,
) -> int:
    """Wait for tables and a model, then keep the model current until ``stop``; return the exit status.

    ``wake`` is set at each announcement of a version, and after ``stop``.
    """
    engine, serving, reporting = resources.engine, resources.serving, resources.reporting
    for attempt, dependency in ((lambda: _ready_storage(settings, engine), "storage"), (serving.start, "model")):
        if retry_until_available(attempt, dependency, settings, stop, reporting) is None:
            return 0
    reporting.started()
    while True:
        wake.wait(settings.models_poll_seconds)
        wake.clear()
        if stop.is_set():
            return 0
        try:
            serving.poll()
            resources.comparing.poll()
            resources.rankings.release()
            resources.other_roles.poll()
        except Unavailable as error:
            reporting.change("storage", False, str(error))
        else:
            reporting.change("storage", True, "")
            reporting.change("model", serving.refusal is None, serving.refusal or "")
        if certificate is not None:
            _renew(certificate)
        if not server.alive:
            return 1
