"""``weir up``: servers, tables, topics, a first model, the three roles and a replay, on this machine.

Starts and ends things in order; what runs is shown by `live`.
"""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from threading import Event, Thread
from uuid import UUID

from importance.errors import Unavailable, WeirError
from storage import migrate
from storage.engine import Engine, create_engine
from storage.registry import Registry
from stream.replay import Advance, Pace, Replayed, Target, replay
from stream.topics import end_offsets, provision, topic_id
from weir import logs, snapshot
from weir.live import State, View, view_for
from weir.local.install import install
from weir.local.ports import free_port
from weir.local.stack import LocalStack, locked, wipe
from weir.local.supervisor import INTERRUPTED, ended_by_signals
from weir.models import dataset_for, make_first
from weir.places import STACK_FILE, Stack
from weir.policies import train_after_samples
from weir.settings import Settings, secrets
from weir.topics import named_topics, planned_topics

_LOOK_SECONDS = 0.5
_LAG_RECORDS = 2_000  # the replay is held while so many records are not decided
_LOOK_RECORDS = 500  # and when so many were sent since the last look: a training is seen to be due in time
_PATIENCE_SECONDS = 120.0  # a training that has not begun by then is not waited for any longer
MAY = "2011-05-02"  # the first Monday in May of the stream that the goal speaks of


@dataclass(frozen=True)
class UpOptions:
    """What ``weir up`` was asked for; ``replay`` None: no replay."""

    replay: str | None = "online_retail"
    limit: int | None = None
    speed: float | None = None
    once: bool = False
    json: bool = False
    fresh: bool = False


def run_up(settings: Settings, options: UpOptions) -> int:
    """Run the whole stack until a signal, or with ``once`` until all of the replay is learned from; the exit status."""
    logs.configure(settings.log_level, "up", secrets(settings))
    began = time.monotonic()
    with locked(settings.home) as held, view_for(sys.stderr) as view, contextlib.ExitStack() as ending:
        if options.fresh:
            wipe(settings.home, ("artifacts",))
        stack = LocalStack(
            settings.home,
            settings.kafka_bootstrap or None,
            settings.database_url or None,
            install=lambda: install(settings.tools_dir, say=view.say),
            say=view.say,
            held=held,
        )
        ending.enter_context(ended_by_signals(stack.supervisor))
        ending.callback(stack.stop)
        try:
            stack.start()
            run = _Up(settings, options, stack, view)
            state = run.run()
        except WeirError:
            if stack.supervisor.ending.is_set() and not stack.supervisor.failure:
                return INTERRUPTED  # Ctrl-C in the middle of the start: what failed failed because of it
            raise
        if stack.supervisor.failure:
            raise Unavailable(stack.supervisor.failure)
    if state is None:
        return INTERRUPTED if options.once else 0
    if options.json:
        print(json.dumps(summary(state, time.monotonic() - began)))
    return 0


def summary(state: State, seconds: float) -> dict[str, object]:
    """The final object of ``--json``: the contract's keys, and beside them the weeks, the reference, the gate."""
    shared = state.shared
    weeks = shared.weeks.get("all", ())
    predicted = [week.figures[snapshot.SERVING].samples for week in weeks if snapshot.SERVING in week.figures]
    return {
        "events": state.events,
        "samples": shared.samples,
        "dead_letters": state.dead_letters,
        "buffer_items": shared.buffer.items,
        "buffer_capacity": shared.buffer.capacity,
        "promotions": shared.promotions,
        "auc": {
            **_means(shared),
            "samples": sum(predicted),
            "from_may": _means(shared, since=MAY),
            "known_items": _means(shared, slice_="known"),
            "weeks": [
                {"monday": week.monday} | {name: _finite(each.auc) for name, each in week.figures.items()}
                for week in weeks
            ],
        },
        "training_runs": shared.results,
        "seconds": round(seconds, 1),
    }


def _means(shared: snapshot.Snapshot, slice_: str = "all", since: str = "") -> dict[str, float | None]:
    return {name: _finite(shared.mean_auc(name, slice_, since)) for name in snapshot.PREDICTORS}


def _finite(value: float) -> float | None:
    return round(value, 5) if math.isfinite(value) else None


class _Up:
    """One run of the stack, after its servers have started."""

    def __init__(self, settings: Settings, options: UpOptions, stack: LocalStack, view: View) -> None:
        self._settings = settings.model_copy(
            update={"kafka_bootstrap": stack.kafka_bootstrap, "database_url": stack.database_url}
        )
        self._options = options
        self._stack = stack
        self._view = view
        self._topics = named_topics(settings)
        self._engine: Engine = create_engine(stack.database_url, application_name="weir up", pool_size=3)
        self._replaying = Event()  # stops the replay
        self._replayed: Replayed | None = None
        self._replay_error: WeirError | None = None
        self._learning = _Learning(train_after_samples(self._settings))

    def run(self) -> State | None:
        """Prepare, start the roles and the replay, and show it all; the last state, None when it was broken off."""
        view, settings = self._view, self._settings
        view.say("tables and topics")
        migrate.upgrade(self._engine)
        for provisioned in provision(settings.kafka_bootstrap, planned_topics(settings)):
            for difference in provisioned.differences:
                view.say(difference)
        registry = Registry(self._engine)
        if registry.active() is None:
            make_first(settings, registry, self._options.replay, view.progress)
        topic = topic_id(settings.kafka_bootstrap, self._topics.interactions)
        with _announced(settings, self._start_roles()) as told:
            view.say(f"api at {told.api}, documentation at {told.api}/docs; logs in {settings.home / 'logs'}")
            replaying = Thread(target=self._replay, name="replay", daemon=True)
            if self._options.replay is not None:
                replaying.start()
            try:
                return self._watch(topic)
            finally:
                self._replaying.set()
                if replaying.is_alive():
                    replaying.join(timeout=10)

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
        pages = []
        for role in ("worker", "trainer"):
            port = free_port()
            pages.append(f"http://{settings.metrics_host}:{port}/metrics")
            self._stack.start_role(role, _command(role), environment | {"WEIR_METRICS_PORT": str(port)})
        self._stack.start_role("api", _command("api"), environment | {"WEIR_API_PORT": str(api_port)})
        api = f"http://{settings.api_host}:{api_port}"
        return Stack(settings.kafka_bootstrap, settings.database_url, api, (*pages, f"{api}/metrics"))

    def _replay(self) -> None:
        settings, name = self._settings, self._options.replay
        assert name is not None
        target = Target(settings.kafka_bootstrap, self._topics.interactions, f"{name}-{settings.seed}")
        pace = Pace(self._options.speed, self._learning.holds, self._replaying)
        try:
            events = dataset_for(settings, name, self._view.progress).events(self._options.limit)
            self._replayed = replay(events, target, settings.attribution_window_seconds, pace, self._note)
        except WeirError as error:
            self._replay_error = error

    def _note(self, advance: Advance) -> None:
        self._learning.sent(advance.sent)
        self._view.replayed(advance)

    def _watch(self, topic: UUID) -> State | None:
        """Look twice a second until the end, which with ``once`` comes by itself."""
        said = False
        while not self._stack.supervisor.wait(_LOOK_SECONDS):
            if self._replay_error is not None:
                raise self._replay_error
            try:
                state = self._look(topic)
            except Unavailable as error:
                self._view.say(str(error))
                continue
            self._learning.see(state, time.monotonic())
            self._view.show(state)
            ended = self._options.replay is None or (self._replayed is not None and self._replayed.finished)
            if ended and state.undecided == 0 and not self._learning.is_busy(state):
                if self._options.once:
                    return state
                if not said and self._options.replay is not None:
                    self._view.say("the replay is drained; the stack runs on: Ctrl-C ends it")
                    said = True
        return None

    def _look(self, topic: UUID) -> State:
        shared = snapshot.take(self._engine, topic)
        bootstrap = self._settings.kafka_bootstrap
        ends = end_offsets(bootstrap, self._topics.interactions)
        decided = {position.partition: position.progress.next for position in shared.positions if position.progress}
        undecided = sum(max(0, end - decided.get(partition, 0)) for partition, end in ends.items())
        dead = sum(end_offsets(bootstrap, self._topics.dead).values())
        return State(shared, events=sum(ends.values()), undecided=undecided, dead_letters=dead)


class _Learning:
    """Keeps the replay behind the learner: in a demonstration months pass in minutes, and training must keep up.

    In a real shop the samples of one training come in days, and a training takes seconds; so that the figures do not
    depend on how fast this machine is, the replay waits.
    """

    def __init__(self, train_after: int) -> None:
        self._train_after = train_after
        self._held = False
        self._since: float | None = None
        self._sent = self._sent_at_look = 0

    def holds(self) -> bool:
        """Whether the replay must wait."""
        return self._held or self._sent - self._sent_at_look >= _LOOK_RECORDS

    def sent(self, records: int) -> None:
        """Take note of how many records the replay has sent by now."""
        self._sent = records

    def is_busy(self, state: State) -> bool:
        """Whether a training goes on, or is due."""
        if state.shared.runs and state.shared.runs[0].ended is None:
            return True
        return not state.frozen and state.untrained >= self._train_after

    def see(self, state: State, now: float) -> None:
        """Decide anew. A training that does not come is given up after a while."""
        behind = state.undecided > _LAG_RECORDS
        waiting = not state.frozen and state.untrained >= self._train_after
        self._since = (self._since or now) if waiting else None
        patient = self._since is not None and now - self._since < _PATIENCE_SECONDS
        self._held = behind or patient
        self._sent_at_look = self._sent


def _command(role: str) -> list[str]:
    return [sys.executable, "-m", "weir", role]


@contextlib.contextmanager
def _announced(settings: Settings, told: Stack) -> Iterator[Stack]:
    """``stack.json`` for as long as the stack runs."""
    path = settings.home / STACK_FILE
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asdict(told)), encoding="utf-8")
    partial.replace(path)
    try:
        yield told
    finally:
        path.unlink(missing_ok=True)
