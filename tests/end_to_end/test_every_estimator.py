"""The worker with each estimator in turn, on real Kafka and Postgres: every sample decided, every key by its score."""

import json
import multiprocessing
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import sqlalchemy as sa

from datasets import open_dataset
from importance.mixture import NAMES
from importance.sample import label
from importance.strata import NEGATIVE, POSITIVE
from storage import migrate
from storage.artifacts import Artifacts
from storage.engine import create_engine
from storage.registry import Registry
from stream.connection import KafkaConnection
from stream.replay import Target, replay
from stream.topics import Topics, planned, provision
from tests.support.waiting import until
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, train_first
from trainer.device import use_threads
from trainer.labelled import Labelled
from trainer.memory import update_state, weights_of
from trainer.tuning import FineTuning, TrainingRows, fine_tune
from weir.settings import Settings

MIXED = "0.5*rho+entropy"


class Replayed(NamedTuple):
    """A topic that holds a replay of so many impressions, closed at its end."""

    prefix: str
    impressions: int


@pytest.fixture(scope="module", params=[pytest.param(400), pytest.param(5_000, marks=pytest.mark.soak)])
def replayed(request: pytest.FixtureRequest, kafka: str) -> Replayed:
    """A topic of so many events of the simulated shop; every worker reads it as a group of its own."""
    prefix = f"every-{secrets.token_hex(4)}."
    plain = Topics()
    topics = Topics(*(f"{prefix}{name}" for name in (plain.interactions, plain.dead, plain.importance, plain.models)))
    provision(KafkaConnection(kafka), planned(topics, partitions=2, replication=1))
    events = list(open_dataset("simulation").events(request.param))
    replay(events, Target(KafkaConnection(kafka), topics.interactions, "simulation"), window_seconds=1800.0)
    return Replayed(prefix, sum(json.loads(event.value or b"")["type"] == "impression" for event in events))


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second version, which remembers everything that estimators ask for."""
    use_threads(1)
    directory = tmp_path_factory.mktemp("versions")
    history = list(islice(open_dataset("simulation").history(), 900))
    labelled = Labelled(history, np.array([label(sample.actions) for sample in history]))
    base = versions.load(train_first(labelled, directory / "first", labelled, FirstTraining(epochs=1)))
    before = weights_of(base)
    rows = TrainingRows(labelled.samples, labelled.labels, np.ones(900), np.ones(900, bool))
    return versions.save(
        update_state(fine_tune(base, rows, FineTuning(steps=4), seed=0), before, labelled), directory / "v"
    )


@pytest.fixture
def served(postgres: Any, version: Path, tmp_path: Path) -> Iterator[sa.Engine]:
    """A database of its own in which that version serves."""
    engine = create_engine(postgres.database())
    migrate.upgrade(engine)
    artifact, sha256 = Artifacts(str(tmp_path / "artifacts")).save("v1", version)
    registry = Registry(engine)
    registry.register("v1", artifact, sha256)
    registry.promote("v1", expected_sequence=None, actor="test", reason="the only one")
    yield engine
    engine.dispose()


def work(settings: dict[str, Any]) -> None:
    """The role worker, in a process of its own."""
    from weir.roles import run_worker

    raise SystemExit(run_worker(Settings(**settings)))


@contextmanager
def worker(settings: dict[str, Any]) -> Iterator[None]:
    """A worker of these settings, told to stop at the end. What it imports is imported once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["weir.roles.worker"])
    process = context.Process(target=work, args=(settings,))
    process.start()
    try:
        yield
        assert process.is_alive()
        process.terminate()
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()


@pytest.mark.timeout(600)  # the first worker loads torch, on whatever the machine has left
@pytest.mark.parametrize(
    ("estimator", "more"),
    [
        *((name, {}) for name in NAMES),
        (MIXED, {"noise_guard": "holdout"}),
        ("gradient_output", {"selection": "top_fraction", "score_precision": "bfloat16"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_worker_decides_everything_by_this_estimator(
    estimator: str, more: dict[str, str], replayed: Replayed, served: sa.Engine, kafka: str, tmp_path: Path
) -> None:
    def one(statement: str) -> Any:
        with served.connect() as connection:
            return connection.execute(sa.text(statement)).one()

    group = f"every-{secrets.token_hex(4)}"
    settings = {
        "home": tmp_path, "kafka_bootstrap": kafka, "database_url": served.url.render_as_string(hide_password=False),
        "topic_prefix": replayed.prefix, "consumer_group": group, "estimator": estimator, "idle_seconds": 1.0,
        "artifacts_url": str(tmp_path / "artifacts"), "buffer_capacity": 200, "device": "cpu", **more,
    }  # fmt: skip
    with worker(settings):
        until(
            f"all {replayed.impressions} decisions by {estimator}",
            lambda: one("SELECT coalesce(sum(samples), 0) FROM progress")[0] >= replayed.impressions,
        )
    assert one("SELECT sum(samples) FROM progress")[0] == replayed.impressions
    ranked = f"FROM buffer_keys JOIN buffer_samples USING (id) WHERE stratum IN ('{POSITIVE}', '{NEGATIVE}')"
    name = f"p_holdout*({estimator})" if more.get("noise_guard") else estimator
    count, least, most, spread, named, model = one(
        "SELECT count(*), min(importance), max(importance), count(DISTINCT importance), array_agg(DISTINCT estimator), "
        f"array_agg(DISTINCT model) {ranked}"
    )
    assert (named, model) == ([name], ["v1"])
    assert count > 0
    assert 0 <= least <= most < float("inf")
    if estimator not in ("uniform", "forgetting"):
        assert spread > count / 10
    plain = one("SELECT count(*) FROM buffer_keys WHERE stratum IN ('holdout', 'uniform')")[0]
    assert plain > 0
