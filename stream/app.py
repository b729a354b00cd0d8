"""The Faust application, by a factory, and the worker that runs it until stopped, or until a failure.

Nothing happens at import or construction. A worker ends in one of three ways: stopped (status 0, everything
acknowledged is committed), by an exception or a hang (status 70), or by the clock, when stopping takes longer than
its grace because the broker is unavailable (75 when stopped, 70 when it failed).
"""

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from importance.attribution import Policy
from importance.errors import Unavailable
from stream.agent import Pipeline
from stream.chunks import ChunkApp, ChunkSchema
from stream.clients import faust_options
from stream.connecting import ANSWER_SECONDS, require_broker
from stream.connection import KafkaConnection
from stream.partition_worker import Effects, Limits
from stream.publishing import Publisher
from stream.reports import KAFKA, Failed
from stream.topics import Topics
from stream.watchdog import Watchdog

STATUS_STOPPED = 0
STATUS_FAILED = 70
STATUS_GRACE_EXCEEDED = 75

_POLL_SECONDS = 1.0
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class StreamSettings:
    """How a worker reads. ``data_dir`` is a directory that Faust may write to.

    With an ``instance_id``, the same at each start and different for each worker of the group, a worker that is
    killed takes its partitions up again without a rebalance. ``max_undecoded_records`` bounds what a partition may
    hold unread in memory (some 600 bytes each), ``max_fetched_bytes`` what all partitions together may.
    """

    connection: KafkaConnection
    group: str
    data_dir: Path
    topics: Topics = field(default_factory=Topics)
    instance_id: str | None = None
    max_poll_records: int = 2_000
    max_undecoded_records: int = 20_000
    max_fetched_bytes: int = 64 * _MEGABYTE
    commit_interval_seconds: float = 1.0
    session_timeout_seconds: float = 10.0
    request_timeout_seconds: float = 30.0
    idle_seconds: float = 30.0
    watchdog_seconds: float = 120.0
    grace_seconds: float = 15.0
    importance_payload: bool = True


def create_app(settings: StreamSettings) -> ChunkApp:
    """Return the application, without agents. Faust's conveniences that reach out on their own are off."""
    app = ChunkApp(
        settings.group,
        **faust_options(settings.connection),
        datadir=str(settings.data_dir),
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        logging_config=None,
        stream_wait_empty=False,  # what is not acknowledged is read again; waiting for it would hold a rebalance
        stream_buffer_maxsize=settings.max_undecoded_records,
        broker_commit_interval=settings.commit_interval_seconds,
        broker_max_poll_records=settings.max_poll_records,
        broker_session_timeout=settings.session_timeout_seconds,
        broker_heartbeat_interval=settings.session_timeout_seconds / 4,
        broker_request_timeout=max(settings.request_timeout_seconds, settings.session_timeout_seconds),
        consumer_group_instance_id=settings.instance_id,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=3_000,  # a topic made later, or a partition added, is seen within seconds
        producer_acks=-1,
        producer_request_timeout=settings.request_timeout_seconds,
        producer_max_batch_size=_MEGABYTE // 2,
        producer_max_request_size=4 * _MEGABYTE,
    )
    app.max_undecoded_records = settings.max_undecoded_records
    app.max_fetched_bytes = settings.max_fetched_bytes
    return app


class Worker:
    """One application with its agent and pipeline. Make it inside the event loop that is to run it."""

    def __init__(
        self, settings: StreamSettings, policy: Policy, effects: Effects, limits: Limits | None = None
    ) -> None:
        self.app = create_app(settings)
        publisher = Publisher(
            self._producer, settings.topics.importance, settings.topics.dead, payload=settings.importance_payload
        )
        self.pipeline = Pipeline(policy, effects, publisher.publish, limits or Limits(), settings.idle_seconds)
        self._settings = settings
        self._report = effects.report
        self._loop = asyncio.get_running_loop()
        self._markers: dict[str, object] = {"start": 0}
        topic = self.app.topic(
            settings.topics.interactions, acks=False, schema=ChunkSchema(), key_type=bytes, value_type=bytes
        )
        self.app.agent(topic, name="interactions")(self.pipeline.consume)
        self.app.on_partitions_revoked.connect(self._revoked, weak=False)
        self._stored_beginnings = effects.beginnings
        self.app.beginnings = self._beginnings

    @property
    def unavailable(self) -> dict[str, str]:
        """Return dependency → why it counts as unavailable; empty when the worker can take events."""
        return self.pipeline.availability.reasons

    async def run(self, stop: asyncio.Event) -> int:
        """Work until ``stop`` is set or something fails; return the process's exit status.

        Raises :class:`Unavailable` when Kafka does not answer at the start.
        """
        watchdog = Watchdog(lambda: self._markers, self._stalled, self._settings.watchdog_seconds)
        watchdog.start()
        try:
            await asyncio.to_thread(require_broker, self._settings.connection)
            await self.app.start()
        except (Unavailable, KafkaError) as error:
            watchdog.end()
            self.pipeline.close()
            raise Unavailable(f"no worker without Kafka: {error}") from error
        polling = asyncio.create_task(self._poll())
        failure = await self._until_stop_or_failure(stop, polling)
        watchdog.end()
        polling.cancel()
        status = STATUS_STOPPED if failure is None else STATUS_FAILED
        if failure is not None:
            self._report(Failed(failure))
        timer = self._end_by_the_clock(STATUS_GRACE_EXCEEDED if failure is None else STATUS_FAILED)
        if failure is None:
            await self.pipeline.stop(self._settings.grace_seconds / 2)
        else:
            self.pipeline.close()
        await self.app.stop()
        if not self.pipeline.busy:  # else the clock ends what the interpreter would wait for
            timer.cancel()
        return status

    async def _until_stop_or_failure(self, stop: asyncio.Event, polling: asyncio.Task[None]) -> BaseException | None:
        stopped, crashed = asyncio.create_task(stop.wait()), asyncio.create_task(self.app._crashed.wait())
        await asyncio.wait({stopped, crashed, polling, self.pipeline.failed}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        crashed.cancel()
        if self.pipeline.failed.done():
            return self.pipeline.failed.exception()
        if self.app._crashed.is_set():
            return self.app._crash_reason or RuntimeError("Faust crashed without a reason")
        return polling.exception() if polling.done() else None

    async def _poll(self) -> None:
        """Ask the broker every second how far its partitions go, and leave progress markers for the watchdog."""
        for poll in range(1 << 62):
            try:
                positions = await self.app.consumer.positions(ANSWER_SECONDS)
            except Unavailable as error:
                self.pipeline.availability.probed(KAFKA, self, str(error))
                positions = {}
            else:
                self.pipeline.availability.probed(KAFKA, self, None)
                self.pipeline.update_positions(positions, time.monotonic())
            behind = {f"reading {number}": at for number, (at, end) in positions.items() if at < end}
            progress = self.pipeline.progress_markers()
            # A partition whose worker has work may be full; then the worker's own marker counts.
            reading = {name: at for name, at in behind.items() if name.replace("reading", "partition") not in progress}
            self._markers = {"event loop": poll, **progress, **reading}
            await asyncio.sleep(_POLL_SECONDS)

    def _stalled(self, name: str) -> None:
        """Handle a stall; called by the watchdog's thread."""
        seconds = self._settings.watchdog_seconds
        error = RuntimeError(f"{name} has not moved for {seconds:g} s although there is work; the worker restarts")
        self._loop.call_soon_threadsafe(self.pipeline.fail, error)
        self._end_by_the_clock(STATUS_FAILED)  # for when it is the event loop that hangs

    def _end_by_the_clock(self, status: int) -> threading.Timer:
        """Stop Faust with a timeout: without the broker its stop waits for ever, and ignores a cancellation."""
        timer = threading.Timer(self._settings.grace_seconds, os._exit, (status,))
        timer.daemon = True
        timer.start()
        return timer

    async def _beginnings(self) -> Mapping[int, int] | None:
        """Ask the store; without it the group's own offsets are used, and the partition worker reports gaps."""
        if self._stored_beginnings is None:
            return None
        try:
            return await asyncio.to_thread(self._stored_beginnings)
        except Unavailable:
            return None

    async def _revoked(self, _: Any, revoked: Any, **__: Any) -> None:
        self.pipeline.drop([tp.partition for tp in revoked])

    async def _producer(self) -> AIOKafkaProducer:
        producer = await self.app.maybe_start_producer()
        return producer._producer
