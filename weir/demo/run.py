"""``weir up``: servers, tables, topics, a first model, the three roles and a replay, on this machine.

Starts and ends them in order; `view` shows them.
"""

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass
from functools import partial
from threading import Event
from uuid import UUID

from datasets import complete_journey
from importance.errors import Unavailable, WeirError
from storage import migrate
from storage.artifacts import Artifacts
from storage.audit import Via
from storage.engine import Engine, create_engine
from storage.heartbeats import Heartbeats
from storage.registry import Registry
from stream.replay import Advance, Pace, Replayed, Target, replay
from stream.topics import end_offsets, provision, topic_id
from weir.demo.addresses import Stack, announced
from weir.demo.cpu import CpuClock
from weir.demo.state import Rate, State, Waiting
from weir.demo.summary import summary
from weir.demo.throttle import Pacing
from weir.demo.view import View, view_for
from weir.learning.first_version import BUILTIN, dataset_for, dataset_history, make_first
from weir.local.install import install
from weir.local.ports import answers, free_port
from weir.local.stack import LocalStack, wipe
from weir.local.supervisor import INTERRUPTED, ended_by_signals
from weir.operations import Operations
from weir.process import logs
from weir.process.background import Background
from weir.settings import Settings, secrets
from weir.settings.connection import kafka_connection
from weir.settings.topics import named_topics, planned_topics
from weir.settings.values import train_after_samples
from weir.status import service
from weir.status.snapshot import Snapshots

_POLL_SECONDS = 0.5


@dataclass(frozen=True)
class UpOptions:
    """The options of ``weir up``; ``replay`` None: no replay."""

    replay: str | None = complete_journey.NAME
    limit: int | None = None
    speed: float | None = None
    once: bool = False
    json: bool = False
    fresh: bool = False


def run_up(settings: Settings, options: UpOptions, held: int) -> int:
    """Run the whole stack until a signal, or with ``once`` until all of the replay is learned; return the exit status.

    ``held`` is the descriptor of the lock on ``WEIR_HOME``, see `weir.local.lock`.
    """
    logs.configure(settings.log_level, "up", secrets(settings))
    started = time.monotonic()
    with view_for(sys.stderr) as view, contextlib.ExitStack() as ending:
        if options.fresh:
            wipe(settings.home, ("artifacts",))
        stack = LocalStack(
            settings.home,
            settings.kafka_bootstrap or None,
            settings.database_url or None,
            install=lambda: install(settings.tools_dir, report=view.report),
            report=view.report,
            held=held,
        )
        ending.enter_context(ended_by_signals(stack.supervisor))
        ending.callback(stack.stop)
        run = _Up(settings, options, stack, view)
        try:
            if not (settings.kafka_bootstrap and settings.database_url):
                view.report("starting the servers")
            stack.start()
            run.run()
        except (WeirError, KeyboardInterrupt):
            if not stack.supervisor.ending.is_set():
                raise  # else a signal interrupted it, or a child is not started again
        if stack.supervisor.failure:
            raise Unavailable(stack.supervisor.failure)
    if run.cpu_seconds:  # after all messages of the stack's end
        by_stage = (f"{stage.replace('_', ' ')} {used:.0f}" for stage, used in run.cpu_seconds.items())
        print(f"CPU seconds: {', '.join(by_stage)}", file=sys.stderr)
    if options.json and run.state is not None:
        print(json.dumps(summary(run.state, time.monotonic() - started, run.cpu_seconds)))
    is_done = run.is_drained if options.once else run.state is not None
    return 0 if is_done else INTERRUPTED


class _Up:
    """One run of the stack. ``state``: the last one read; ``is_drained``: whether ``once`` reached its end."""

    def __init__(self, settings: Settings, options: UpOptions, stack: LocalStack, view: View) -> None:
        self._settings = settings.model_copy(
            update={"kafka_bootstrap": stack.kafka_bootstrap, "database_url": stack.database_url}
        )
        self._options = options
        self._stack = stack
        self._view = view
        self._topics = named_topics(settings)
        self._engine: Engine = create_engine(stack.database_url, application_name="weir up", pool_size=3)
        self._snapshots = Snapshots(self._engine)
        self._replaying = Event()  # stops the replay
        self._replayed: Replayed | None = None
        self._skipped = False  # whether a message was shown that the replay continues an earlier one
        self._started = time.monotonic()
        self._rate = Rate()
        self._pacing = Pacing(train_after_samples(self._settings))
        self._cpu = CpuClock(lambda: stack.supervisor.children)
        self.cpu_seconds: dict[str, float] = {}
        self.state: State | None = None
        self.is_drained = False

    def run(self) -> None:
        """Prepare, start the roles and the replay, and show them until the end. The servers run already."""
        view, settings = self._view, self._settings
        view.report("tables and topics")
        migrate.upgrade(self._engine)
        for provisioned in provision(kafka_connection(settings), planned_topics(settings)):
            for difference in provisioned.differences:
                view.report(difference)
        registry = Registry(self._engine)
        if (active := registry.active()) is not None:
            view.report(f"resuming with version {active.version} and what an earlier run left: the roles load it")
        else:
            # Without a replay another base model is used as it is; the built-in one needs data to train on.
            history = self._options.replay or (complete_journey.NAME if settings.model == BUILTIN else None)
            self._cpu.end("set_up")
            read = partial(dataset_history, settings, history, self._progress) if history else None
            operations = Operations(self._engine, Artifacts(settings.artifacts_url), view.report, Via.UP)
            make_first(settings, registry, operations, read, self._progress)
            self._cpu.end("first_training")
        topic = topic_id(kafka_connection(settings), self._topics.interactions)
        with announced(settings, self._start_roles()) as running:
            view.report(f"logs in {settings.home / 'logs'}")
            try:
                with Background("replay", self._replay, self._replaying.set) as replaying:
                    self._watch(topic, running.api, replaying)
            finally:
                self.cpu_seconds = self._cpu.seconds()  # before the roles end

    def _progress(self, what: str, done: int, total: int) -> None:
        """Show the progress of long work, and interrupt it when the end is asked for."""
        if self._stack.supervisor.ending.is_set():
            raise KeyboardInterrupt
        self._view.progress(what, done, total)

    def _start_roles(self) -> Stack:
        settings = self._settings
        environment = {
            **os.environ,
            "WEIR_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
            "WEIR_DATABASE_URL": settings.database_url,
            "WEIR_HOME": str(settings.home),
            "WEIR_ARTIFACTS_URL": settings.artifacts_url,
        }
        if self._options.replay is not None and "train_cooldown_seconds" not in settings.model_fields_set:
            environment["WEIR_TRAIN_COOLDOWN_SECONDS"] = "0"  # months pass in minutes: the replay waits instead
        api_port = settings.api_port or free_port()
        metrics_urls = []
        for role in ("worker", "trainer"):
            port = free_port()
            metrics_urls.append(f"http://{settings.metrics_host}:{port}/metrics")
            self._stack.start_role(role, _command(role), environment | {"WEIR_METRICS_PORT": str(port)})
        self._stack.start_role("api", _command("api"), environment | {"WEIR_API_PORT": str(api_port)})
        api = f"{'http' if settings.api_tls_certificate is None else 'https'}://{settings.api_host}:{api_port}"
        return Stack(settings.kafka_bootstrap, settings.database_url, api, (*metrics_urls, f"{api}/metrics"))

    def _replay(self) -> None:
        settings, name = self._settings, self._options.replay
        if name is None:
            return
        target = Target(kafka_connection(settings), self._topics.interactions, f"{name}-{settings.seed}")
        pace = Pace(self._options.speed, self._pacing.holds, self._replaying)
        events = dataset_for(settings, name, self._view.progress).events(self._options.limit)
        self._replayed = replay(events, target, settings.attribution_window_seconds, pace, self._note)

    def _note(self, advance: Advance) -> None:
        stored = advance.position - advance.sent
        if stored > 0 and not self._skipped:  # heartbeats are sent, and do not advance the position
            self._skipped = True
            self._view.report(f"the replay continues after the {stored:,} events that the topic holds already")
        self._pacing.sent(advance.sent)

    def _watch(self, topic: UUID, api: str, replaying: Background) -> None:
        """Poll the state twice a second until the end, which with ``once`` is the end of the replay."""
        api_answered = drain_reported = False
        trouble = ""
        while not self._stack.supervisor.wait(_POLL_SECONDS):
            if replaying.error is not None:
                raise replaying.error
            if not api_answered and (api_answered := answers(f"{api}/healthz")):
                self._view.report(f"api at {api}, documentation at {api}/docs")
            # Before the state is read: it does not hold what is sent later.
            has_replayed = self._options.replay is None or (self._replayed is not None and self._replayed.finished)
            try:
                state = self._read_state(topic, has_replayed)
            except Unavailable as error:
                if str(error) != trouble:  # once: repeated messages would displace the others
                    self._view.report(trouble := str(error))
                continue
            if trouble:
                self._view.report("Kafka and Postgres answer again")
                trouble = ""
            self.state = state
            self._pacing.update(state, time.monotonic())
            self._view.show(state)
            if has_replayed and state.undecided == 0 and not self._pacing.is_busy:
                if self._options.once:
                    self.is_drained = True
                    return
                if not drain_reported and self._options.replay is not None:
                    self._view.report("the replay is drained; the stack runs on: Ctrl-C ends it")
                    drain_reported = True

    def _read_state(self, topic: UUID, has_replayed: bool) -> State:
        shared = self._snapshots.take(topic)
        kafka = kafka_connection(self._settings)
        ends = end_offsets(kafka, self._topics.interactions)
        decided = {position.partition: position.progress.next for position in shared.positions if position.progress}
        undecided = sum(max(0, end - decided.get(partition, 0)) for partition, end in ends.items())
        dead = sum(end_offsets(kafka, self._topics.dead).values())
        events = sum(ends.values())
        # Older heartbeats are of an earlier run's roles.
        elapsed_seconds = time.monotonic() - self._started
        every = Heartbeats(self._engine).all()
        heartbeats = [heartbeat for heartbeat in every if heartbeat.silent_seconds <= elapsed_seconds]
        alive = filter(service.is_alive, heartbeats)
        assigned = [partition for heartbeat in alive for partition in heartbeat.report.partitions]
        return State(
            shared,
            events,
            undecided,
            dead,
            unread=sum(each.unread for each in assigned) if assigned else undecided,
            waiting=Waiting(
                min(undecided, sum(each.waiting for each in assigned)),  # a heartbeat is some seconds old
                # While a replay runs, event time does not follow the clock.
                service.first_decision(heartbeats, self._settings.attribution_window_seconds) if has_replayed else None,
            ),
            roles=service.roles(heartbeats),
            events_per_second=self._rate.of(events),
            train_after=train_after_samples(self._settings),
        )


def _command(role: str) -> list[str]:
    return [sys.executable, "-m", "weir", role]
