"""The worker: assembles the stream of interactions, the scorer, the buffer and the tasks next to it."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Event
from uuid import UUID

from importance.attribution import Progress
from importance.errors import NotFound, Unavailable
from importance.quality import CountKey, Counts, tally, tally_segments
from importance.reservoir import admit
from importance.sample import Sample, labels
from importance.scores import Offer, Scores
from importance.shadow import Gains, gains
from importance.strata import POSITIVE
from monitoring.exporter import Exporter
from monitoring.metrics import DependencyMetrics, WorkerMetrics, new_registry
from storage.artifacts import Artifacts
from storage.audit import Author, Via
from storage.buffer import Buffer
from storage.comparisons import LiveTest
from storage.engine import Engine
from storage.erasure import Erasure
from storage.progress import Progresses
from storage.registry import Registry
from stream.app import STATUS_FAILED, StreamSettings, Worker
from stream.codecs import WORKER_LIBRARY, require_codecs
from stream.dead_letters import DeadLetter
from stream.partition_worker import Effects, Limits
from stream.reports import KAFKA, STORAGE, Availability, Report
from stream.topics import topic_id
from weir.process import logs
from weir.process.garbage_collection import calm_garbage_collection
from weir.process.signals import stopped_by_signals
from weir.roles.announced import listen
from weir.roles.common import (
    database,
    ready_database,
    rescoring,
    retry_until_available,
    start_process,
)
from weir.roles.comparing import Comparing, comparing
from weir.roles.heartbeat import heartbeat
from weir.roles.racing import Racing
from weir.roles.reporting import Reporting
from weir.roles.serving import Serving
from weir.roles.watching import watched_storage
from weir.settings import Settings, values
from weir.settings.connection import kafka_connection
from weir.settings.drift import drift_sketch
from weir.settings.topics import named_topics

_log = logs.logger(__name__)
_AUTHOR = Author("worker", Via.WORKER, "its keys had other settings")
_TOPIC_POLL_SECONDS = 10.0  # how often the id of the topic is compared with that at the start
_STOP_POLL_SECONDS = 0.1  # how soon a signal, which sets a thread's event, is seen by the event loop


def run(settings: Settings) -> int:
    """Work until a signal; return the exit status."""
    start_process(settings, "worker")
    stop = Event()
    registry = new_registry()
    reporting = Reporting(WorkerMetrics(registry), DependencyMetrics(registry, (KAFKA, STORAGE)))
    reporting.change("worker", False, "starting")
    engine = database(settings, "worker", pool_size=10)
    with (
        stopped_by_signals(stop.set),
        Exporter(registry, reporting.reasons, settings.metrics_host, settings.metrics_port) as endpoint,
        watched_storage(engine, reporting),
        heartbeat(settings.database_url, "worker", reporting.heartbeat),
    ):
        _log.info("metrics endpoint started", url=endpoint.url)
        prepared = _prepare(settings, engine, stop, reporting)
        calm_garbage_collection()
        return 0 if prepared is None else asyncio.run(_work(settings, stop, reporting, *prepared))


def _prepare(
    settings: Settings, engine: Engine, stop: Event, reporting: Reporting
) -> tuple[UUID, Serving, Comparing, Effects] | None:
    """Wait for codecs, tables, topic and a first model; None when ``stop`` came first."""
    wait = partial(retry_until_available, settings=settings, stop=stop, reporting=reporting)
    if not wait(lambda: require_codecs(WORKER_LIBRARY), "codecs"):
        return None
    if not wait(lambda: ready_database(engine), "storage"):
        return None
    topic = wait(lambda: topic_id(kafka_connection(settings), named_topics(settings).interactions), "kafka")
    if topic is None:
        return None
    serving = Serving(settings, Registry(engine), Artifacts(settings.artifacts_url))
    reporting.model = serving.state
    if not wait(serving.start, "model"):
        return None
    if not wait(lambda: _rescore_outdated(settings, engine, serving), "buffer"):
        return None
    did = effects(settings, engine, topic, serving.scorer.score, reporting)
    shares = {LiveTest.SHADOW: 1.0, LiveTest.MIRROR: settings.mirror_share}
    return topic, serving, comparing(settings, engine, serving, shares), did


def effects(
    settings: Settings,
    engine: Engine,
    topic: UUID,
    score: Callable[[Sequence[Sample]], Scores],
    report: Callable[[Report], None],
) -> Effects:
    """Return what a worker does with the records of a topic, when it scores by ``score``."""
    progresses, erasure = Progresses(engine, topic), Erasure(engine, values.pseudonyms(settings))
    admission, configs = values.admission(settings), values.scoring_configs(settings)
    buffer = Buffer(
        engine,
        values.capacities(settings),
        topic,
        values.positive_from(settings),
        configs,
        values.subject_capacities(settings),
        values.recent_items(settings),
        values.pseudonyms(settings),
    )

    racing = Racing(settings)

    def claim(partition: int, generation: int) -> tuple[int, Progress | None]:
        racing.restart(partition)
        assignment = progresses.claim(partition, generation)
        return assignment.epoch, assignment.progress

    def welcome(samples: Sequence[Sample]) -> Sequence[Sample]:
        left = erasure.of({sample.subject for sample in samples})
        if not left:
            return samples
        welcomed = [x for x in samples if x.subject not in left or not left[x.subject].drops(x.time_ms)]
        returned = [left[sample.subject].erased for sample in welcomed if sample.subject in left]
        if returned:
            buffer.refresh(max(returned))
        return welcomed

    def welcome_letters(letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
        left = erasure.of({letter.subject for letter in letters if letter.subject is not None})

        def is_erased(letter: DeadLetter) -> bool:
            tombstone = left.get(letter.subject or "")
            return tombstone is not None and letter.time_ms is not None and tombstone.drops(letter.time_ms)

        return [letter for letter in letters if not is_erased(letter)]

    def count(samples: Sequence[Sample], scores: Scores) -> Mapping[CountKey, Counts]:
        closed = labels(samples, admission.positive_from)
        return tally(samples, closed, scores) | tally_segments(samples, closed, scores, admission.strata.segments)

    def admitted(samples: Sequence[Sample], scores: Scores) -> Sequence[Offer]:
        return admit(samples, scores, admission, buffer.thresholds())

    def compare(samples: Sequence[Sample], scores: Scores) -> Gains:
        closed = labels(samples, admission.positive_from)
        return gains(samples, closed, scores, settings.salt, settings.canary_share)

    return Effects(
        claim, score, admitted, count, buffer.persist, report, progresses.acknowledged, sketch=drift_sketch(settings),
        compare=compare, race=racing.observe, welcome=welcome, welcome_letters=welcome_letters,
    )  # fmt: skip


def _rescore_outdated(settings: Settings, engine: Engine, serving: Serving) -> bool:
    """Score rows again whose keys have other settings, before anything is offered; return True."""
    scored = rescoring(settings, engine, serving.scorer.score, _AUTHOR).bring()
    if scored:
        by = values.scoring_configs(settings)[POSITIVE]
        _log.info("buffer scored again: its keys had other settings", rows=scored, by=by)
    return True


async def _work(
    settings: Settings,
    stop: Event,
    reporting: Reporting,
    topic: UUID,
    serving: Serving,
    comparing: Comparing,
    effects: Effects,
) -> int:
    ended = asyncio.Event()
    worker = Worker(
        _stream_settings(settings),
        values.join(settings),
        effects,
        Limits(retry_seconds=settings.retry_first_seconds, retry_max_seconds=settings.retry_limit_seconds),
    )
    wake = asyncio.Event()
    coroutines = (
        _end_when(stop, ended),
        _watch_topic(settings, topic),
        listen(settings, wake.set),
        _swap_when_woken(settings, serving, comparing, reporting, worker.pipeline.availability, wake),
    )
    tasks = [asyncio.create_task(each) for each in coroutines]
    for task in tasks:
        task.add_done_callback(partial(_fail_with, worker))
    reporting.change("worker", True, "started")
    reporting.started()
    try:
        return await worker.run(ended)
    except Unavailable as error:  # Faust cannot be started twice in a process: a supervisor starts it again
        _log.error("kafka unavailable at the start", reason=str(error))
        return STATUS_FAILED
    finally:
        for task in tasks:
            task.cancel()


def _stream_settings(settings: Settings) -> StreamSettings:
    return StreamSettings(
        connection=kafka_connection(settings),
        group=settings.consumer_group,
        data_dir=settings.home / "faust",
        topics=named_topics(settings),
        max_fetched_bytes=settings.max_fetched_bytes,
        idle_seconds=settings.idle_seconds,
        watchdog_seconds=settings.watchdog_seconds,
        grace_seconds=settings.stop_seconds,
        importance_payload=settings.importance_payload == "on",
    )


def _fail_with(worker: Worker, task: asyncio.Task[None]) -> None:
    """End the process with the task: the worker would continue without new versions, or on a deleted topic."""
    if not task.cancelled() and (error := task.exception()) is not None:
        worker.pipeline.fail(error)


async def _end_when(stop: Event, ended: asyncio.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(_STOP_POLL_SECONDS)
    ended.set()


async def _watch_topic(settings: Settings, topic: UUID) -> None:
    """End the process once the topic is another one of the same name: its offsets mean other records."""
    name = named_topics(settings).interactions
    while True:
        await asyncio.sleep(_TOPIC_POLL_SECONDS)
        try:
            now = await asyncio.to_thread(topic_id, kafka_connection(settings), name)
        except Unavailable:
            continue
        if now != topic:
            raise NotFound(f"topic {name} was deleted and created again: the worker restarts")


async def _swap_when_woken(
    settings: Settings,
    serving: Serving,
    comparing: Comparing,
    reporting: Reporting,
    availability: Availability,
    wake: asyncio.Event,
) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(wake.wait(), settings.models_poll_seconds)
        wake.clear()
        try:
            swap = await asyncio.to_thread(serving.poll)
            await asyncio.to_thread(comparing.poll)
        except Unavailable as error:  # the next poll finds what was missed
            availability.probed(STORAGE, serving, str(error))
            continue
        availability.probed(STORAGE, serving, None)
        reporting.change("model", serving.refusal is None, serving.refusal or "")
        if swap is not None and swap.is_rollback:
            reporting.rolled_back(swap.since_entry_seconds)
