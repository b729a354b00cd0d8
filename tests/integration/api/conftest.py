"""The interface over a real Postgres, asked over real HTTP."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import fsspec
import httpx
import numpy as np
import pytest
import sqlalchemy as sa

from importance.drift.block import Block
from importance.drift.evaluation import Evaluation
from importance.drift.sketch_key import ALL, SketchKey
from importance.errors import Unavailable
from importance.flush import Flush
from importance.partition_progress import Progress
from importance.pseudonyms import Pseudonyms
from importance.quality import tally
from importance.reservoir import AdmissionPolicy, admit
from importance.sample import Action, Pair, Sample, label
from importance.scores import BASELINE, SERVING, Predictions, Scores
from importance.strata import StrataPolicy
from monitoring.exporter import render
from monitoring.metrics import HttpMetrics, SharedStateCollector, new_registry
from monitoring.rank_metrics import RankMetrics
from storage.artifacts import Artifacts
from storage.audit import Audit, Author, Via
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.drift import Drift
from storage.engine import create_engine
from storage.heartbeats import Heartbeats
from storage.history import Histories
from storage.lineage import Lineages
from storage.migrate import upgrade
from storage.progress import Progresses
from storage.quality import Quality
from storage.quarantine import Quarantine
from storage.recent_items import RecentItems, RecentLimits
from storage.registry import Entry, Registry
from storage.tokens import Role, Tokens
from stream.erasure import TopicErasure
from tests.support.storage import CAPACITIES, TOPIC, Owner
from weir.api.access import Access
from weir.api.app import create_api
from weir.api.certificate import Certificate
from weir.api.context import ApiContext
from weir.api.limits import Limits
from weir.api.rankings import Rankings
from weir.api.server import serve
from weir.api.shared_state import shared_state
from weir.demo.addresses import start_it
from weir.erasing import Eraser
from weir.operations import Operations
from weir.settings import Settings
from weir.settings.topics import Measured
from weir.status import service
from weir.status.selection import selection_status
from weir.status.snapshot import Snapshots
from weir.status.stream_estimates import estimates

TIME_MS = 1_294_012_800_000  # 2011-01-03 00:00 UTC, a Monday


class World:
    """A served interface, the tables below it, and what it told others."""

    def __init__(
        self,
        database_url: str,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        certificate: Certificate | None = None,
        *,
        exposed: bool = False,
        failures: int = 10,
        rank_items: int = 2_000,
        rank_seconds: float = 60.0,
    ) -> None:
        self.engine: sa.Engine = create_engine(database_url)
        upgrade(self.engine)
        self.topic = uuid4()
        self.registry = Registry(self.engine)
        self.artifacts = Artifacts(f"memory://{self.topic}")
        self.announced: list[Entry] = []
        self.warnings: list[str] = []
        self.reasons: dict[str, str] = {}
        self.degraded: list[str] = []
        self.kafka_trouble = ""
        registry = new_registry()
        reader = BufferReader(self.engine)
        quality, heartbeats = Quality(self.engine), Heartbeats(self.engine)
        drift = self.drift = Drift(self.engine, block_ms=3_600_000, horizon_ms=0)
        selection = partial(selection_status, self.engine, True)
        registry.register(
            SharedStateCollector(partial(shared_state, self.registry, reader, quality, heartbeats, drift, selection))
        )
        self.tokens = Tokens(self.engine)
        self.access = Access(self.tokens, exposed=exposed, failures=failures)
        self.rankings = Rankings(
            self.predict, RankMetrics(registry), max_items=rank_items, deadline_seconds=rank_seconds
        )
        self.context = context = ApiContext(
            access=self.access,
            audit=Audit(self.engine),
            registry=self.registry,
            quarantine=Quarantine(self.engine),
            operations=Operations(self.engine, self.artifacts, self.warnings.append, Via.HTTP, self.announced.append),
            reader=reader,
            lineages=Lineages(self.engine, Pseudonyms("weir")),
            histories=Histories(self.engine, Pseudonyms("weir")),
            eraser=Eraser(Settings(), self.engine, self.erase_topics),
            drift=drift,
            selection=selection,
            estimates=partial(estimates, Settings(), self.engine),
            snapshot=partial(Snapshots(self.engine).take, self.topic),
            score=self.score,
            rankings=lambda _subject: self.rankings,
            recent_texts=self.recent_texts,
            not_ready=lambda: self.reasons,
            degraded=lambda: self.degraded,
            status=self.status,
            render_metrics=partial(render, registry),
            metrics=HttpMetrics(registry),
            limits=limits,
        )
        self.app = create_api(context)
        self._serving = ExitStack()
        self.server = self._serving.enter_context(
            serve(self.app, "127.0.0.1", 0, context.closing, limits.header_seconds, certificate)
        )
        self.http = httpx.Client(base_url=self.server.url, timeout=30)

    def score(self, samples: Sequence[Sample], estimators: Sequence[str]) -> tuple[str, dict[str, list[float]]]:
        """As long as its text, and one more when the label is 1."""
        return "v1", {name: [len(x.text) + label(x.actions) for x in samples] for name in estimators}

    def predict(self, pairs: Sequence[Pair]) -> tuple[Predictions, int]:
        """The share of the query's words that the text has."""
        shares = [np.mean([word in text.split() for word in query.split() or [""]]) for text, query in pairs]
        return Predictions("v1", np.array(shares, float)), 0

    def recent_texts(self, subject: str) -> Sequence[str]:
        """What the subject had to do with last."""
        return RecentItems(RecentLimits(3)).of(self.engine, subject)

    def erase_topics(self, _subject: str, _dry_run: bool) -> list[TopicErasure]:
        """Kafka is not here; while ``kafka_trouble`` is set it does not answer."""
        if self.kafka_trouble:
            raise Unavailable(self.kafka_trouble)
        return [
            TopicErasure("interactions", 0, "events", 604_800_000),
            TopicErasure("interactions.dead", 2, None, None),
        ]

    def status(self) -> service.Status:
        return service.take(self.engine, Measured(self.topic, {0: 50}), start_it, self.context.selection)

    def token(self, name: str, role: Role, lifetime: timedelta | None = None) -> dict[str, str]:
        """Create a token; gives the header that its holder sends."""
        secret, _ = self.tokens.create(name, role, lifetime, Author("test", Via.CLI))
        return {"Authorization": f"Bearer {secret}"}

    def waiting_request(self) -> tuple[str, str]:
        """Who requested a training, and why."""
        with self.engine.begin() as connection:
            actor, reason = connection.execute(sa.text("SELECT actor, reason FROM training_requests")).one()
        return actor, reason

    def register(self, *versions: str) -> None:
        """Register and promote versions, one after the other."""
        for version in versions:
            with TemporaryDirectory() as folder:
                (Path(folder) / "model.safetensors").write_text(version)
                stored = self.artifacts.save(version, Path(folder))
            self.registry.register(version, *stored, metrics={"auc": 0.8})
            self.registry.promote(version, expected_sequence=None, actor="test", reason="made for a test")

    def spoil(self, version: str) -> None:
        """Let a stored file be another one."""
        files, root = fsspec.url_to_fs(f"memory://{self.topic}")
        files.pipe_file(f"{root}/{self.registry.version(version).artifact}/model.safetensors", b"spoiled")

    def fill(self, count: int = 40, capacity: int = 20, prefix: str = "s") -> list[Sample]:
        """Let the buffer be offered samples, with predictions; gives all of them, kept or not."""
        samples = [
            Sample(
                f"{prefix}{i}", f"subject {i}", "search", f"query {i}", f"item {i}", f"text {i}", TIME_MS + i, 0, i,
                actions=int(Action.CLICK if i % 2 else Action.NONE),
            )
            for i in range(count)
        ]  # fmt: skip
        labels = [label(x.actions) for x in samples]
        predictions = {
            SERVING: Predictions("v1", np.array(labels) * 0.5 + 0.25),
            BASELINE: Predictions("v0", np.full(count, 0.5)),
        }
        scores = Scores(np.ones(count), "uniform", "v1", predictions=predictions)
        policy = AdmissionPolicy(strata=StrataPolicy(salt="weir"), salt="weir")
        buffer = Buffer(self.engine, policy.strata.capacities(capacity), self.topic)
        offers = admit(samples, scores, policy, buffer.thresholds())
        assignment = Progresses(self.engine, self.topic).claim(0, 1)
        done = Progress(count, TIME_MS, count, TIME_MS)
        counts = tally(samples, labels, scores)
        buffer.persist(Flush(0, assignment.epoch, 0, done, offers, (), counts, count))
        buffer.trim()
        return samples

    def drifted(self, evaluation: Evaluation) -> None:
        """Let the stream be evaluated for drift up to 3 o'clock, with this result."""
        sums = {SketchKey(0, 3_600_000, "", "click_rate", ALL): Block(1, np.zeros(1))}
        Owner(self.engine, Buffer(self.engine, CAPACITIES, TOPIC)).flush(sketches=sums, event_time_ms=3 * 3_600_000)
        self.drift.evaluate(lambda *_: evaluation)

    def problem(self, answer: httpx.Response, status: int) -> dict[str, Any]:
        """The answer's problem details, which must be well formed and of that status."""
        body: dict[str, Any] = answer.json()
        assert answer.status_code == status, body
        assert answer.headers["content-type"] == "application/problem+json"
        assert body["type"] == "about:blank"
        assert body["status"] == status
        assert body["title"]
        assert "\n" not in body["detail"]
        return body

    def close(self) -> None:
        self.http.close()
        self._serving.close()
        self.rankings.close()
        self.engine.dispose()


@contextmanager
def connection(world: World) -> Iterator[socket.socket]:
    url = urlsplit(world.server.url)
    with socket.create_connection((url.hostname or "", url.port or 0), timeout=60) as opened:
        yield opened


def answer_of(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


@pytest.fixture
def world(postgres: Any) -> Iterator[World]:
    world = World(postgres.database())
    yield world
    world.close()


@pytest.fixture(scope="module")
def unchanged(postgres: Any) -> Iterator[World]:
    """A world with two versions, for tests whose requests change nothing."""
    world = World(postgres.database())
    world.register("v1", "v2")
    yield world
    assert [entry.sequence for entry in world.registry.log()] == [1, 2]
    world.close()
