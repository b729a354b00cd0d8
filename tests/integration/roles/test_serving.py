"""Which version a worker serves, over a real registry and real files: never one whose files are not as registered."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from importance.errors import BadArtifact, Conflict, StoreUnavailable, Unavailable
from importance.sample import Sample
from importance.scores import REFERENCE, SERVING
from storage import migrate, tables
from storage.artifacts import Artifacts
from storage.audit import Via
from storage.engine import create_engine
from storage.registry import Registry
from tests.conftest import TestPostgres
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, build
from weir.operations import Operations
from weir.roles.serving import Serving
from weir.settings import Settings

SHOP = [Sample(f"s{n}", "ann", "search", "lamp", f"i{n}", f"lamp number {n}", 0, 0, n) for n in range(20)]


class World:
    """A registry and a store with three versions, v1 promoted; ``serving`` makes what a worker begins with."""

    def __init__(self, database_url: str, home: Path, **settings: Any) -> None:
        self.settings = Settings(home=home, estimator="uniform", **settings)
        self.engine = create_engine(database_url)
        migrate.upgrade(self.engine)
        self.registry, self.artifacts = Registry(self.engine), Artifacts(self.settings.artifacts_url)
        for seed in range(3):
            version = self.registry.new_version()
            stored = self.artifacts.save(version, versions.save(build(SHOP, FirstTraining(), seed), home / version))
            self.registry.register(version, *stored)
        self.promote("v1")

    def promote(self, version: str) -> None:
        self.registry.promote(version, expected_sequence=None, actor="ann", reason="better")

    def rollback(self) -> None:
        self.registry.rollback(None, actor="bob", reason="worse")

    def spoil(self, version: str, file: str = "model.safetensors") -> None:
        """Flip the last byte of a stored file."""
        path = Path(self.settings.artifacts_url) / self.registry.version(version).artifact / file
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    def repair(self, version: str) -> None:
        """Flip it back."""
        self.spoil(version)

    def cut_off(self, version: str) -> None:
        """Let the store answer with an error that is not about the files."""
        manifest = self._manifest(version)
        manifest.rename(manifest.with_suffix(".kept"))
        manifest.mkdir()

    def connect(self, version: str) -> None:
        """Let it answer again."""
        manifest = self._manifest(version)
        manifest.rmdir()
        manifest.with_suffix(".kept").rename(manifest)

    def _manifest(self, version: str) -> Path:
        return Path(self.settings.artifacts_url) / self.registry.version(version).artifact / "SHA256SUMS"

    def serving(self, clock: Callable[[], float] = monotonic) -> Serving:
        return Serving(self.settings, self.registry, self.artifacts, clock)


@pytest.fixture
def world(postgres: TestPostgres, tmp_path: Path) -> Iterator[World]:
    """A world with a database of its own."""
    world = World(postgres.database(), tmp_path)
    yield world
    world.engine.dispose()


@pytest.fixture
def started(world: World) -> Serving:
    """The scorer of a worker that started while v1 was active."""
    serving = world.serving()
    assert serving.start()
    return serving


def used(serving: Serving) -> str:
    return serving.scorer.score(SHOP).model


def test_a_worker_follows_promotions_and_rollbacks_and_distinguishes_them(world: World, started: Serving) -> None:
    assert used(started) == "v1"
    assert started.poll() is None
    world.promote("v2")
    swap = started.poll()
    assert swap is not None
    assert (swap.version, swap.sequence, swap.is_rollback, used(started)) == ("v2", 2, False, "v2")
    world.rollback()
    swap = started.poll()
    assert swap is not None
    assert (swap.version, swap.sequence, swap.is_rollback, used(started)) == ("v1", 3, True, "v1")


def test_a_rollback_is_one_even_when_the_log_grew_before_the_worker_polled(world: World, started: Serving) -> None:
    world.promote("v2")
    started.poll()
    world.rollback()
    world.registry.unfreeze(actor="bob", reason="fixed")
    swap = started.poll()
    assert swap is not None
    assert (swap.version, swap.is_rollback) == ("v1", True)


def test_a_worker_follows_a_database_that_went_back_to_an_earlier_entry(world: World, started: Serving) -> None:
    with world.engine.connect() as connection:
        earlier = connection.execute(sa.select(tables.pointer)).one()._mapping
    world.promote("v2")
    started.poll()
    assert used(started) == "v2"
    with world.engine.begin() as connection:  # a restore of what was, or a failover that lost the last entry
        connection.execute(sa.update(tables.pointer).values(dict(earlier)))
    started.poll()
    assert used(started) == "v1"


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "SHA256SUMS"])
def test_a_version_with_a_spoiled_file_is_not_served_and_the_one_before_goes_on(
    world: World, started: Serving, file: str
) -> None:
    world.spoil("v2", file)
    world.promote("v2")
    assert started.poll() is None
    assert used(started) == "v1"
    assert started.trouble is not None
    assert started.trouble.startswith("version v2 cannot be served, v1 is: ")
    assert "sha256" in started.trouble
    assert started.poll() is None
    world.rollback()
    started.poll()
    assert (started.trouble, used(started)) == (None, "v1")


@pytest.mark.parametrize("is_start", [False, True], ids=["while it works", "at its start"])
def test_a_refused_version_is_tried_again_after_a_pause_and_served_once_its_files_are_restored(
    world: World, is_start: bool
) -> None:
    now = 0.0
    serving = world.serving(clock=lambda: now)
    if not is_start:
        serving.start()
    world.spoil("v2")
    world.promote("v2")
    if is_start:
        serving.start()
    else:
        serving.poll()
    assert used(serving) == "v1"
    world.repair("v2")
    now += world.settings.retry_limit_seconds / 2
    assert serving.poll() is None
    assert used(serving) == "v1"
    now += world.settings.retry_limit_seconds / 2
    swap = serving.poll()
    assert swap is not None
    assert (swap.version, used(serving), serving.trouble, serving.state().swap) == ("v2", "v2", None, "serving")


def test_while_the_store_does_not_answer_the_served_version_stays_and_the_role_is_ready(
    world: World,
) -> None:
    now = 0.0
    serving = world.serving(clock=lambda: now)
    serving.start()
    world.cut_off("v2")
    world.promote("v2")
    assert serving.poll() is None
    assert used(serving) == "v1"
    assert serving.trouble is not None
    assert serving.trouble.startswith("version v2 is not fetched yet, v1 is served: the artifact store ")
    assert (serving.refusal, serving.state().swap) == (None, "loading")
    world.connect("v2")
    assert serving.poll() is None  # in the pause
    now += world.settings.retry_limit_seconds
    assert serving.poll() is not None
    assert (used(serving), serving.trouble, serving.state().swap) == ("v2", None, "serving")


def test_a_worker_that_starts_while_the_store_does_not_answer_waits_for_the_active_version(
    world: World,
) -> None:
    world.promote("v2")
    world.cut_off("v2")
    serving = world.serving()
    with pytest.raises(StoreUnavailable):
        serving.start()
    world.connect("v2")
    assert serving.start()
    assert used(serving) == "v2"


def test_a_refused_version_that_stays_damaged_is_logged_once(world: World) -> None:
    now = 0.0
    serving = world.serving(clock=lambda: now)
    serving.start()
    world.spoil("v2")
    world.promote("v2")
    with capture_logs() as lines:
        for _ in range(3):
            serving.poll()
            now += world.settings.retry_limit_seconds
    assert serving.trouble is not None
    assert [line["event"] for line in lines].count("model refused") == 1


def test_a_version_whose_files_are_as_registered_but_do_not_load_is_not_served_either(
    world: World, started: Serving, tmp_path: Path
) -> None:
    (tmp_path / "v4" / "model.safetensors").parent.mkdir()
    (tmp_path / "v4" / "model.safetensors").write_bytes(b"no tensors")
    world.registry.register("v4", *world.artifacts.save("v4", tmp_path / "v4"))
    world.promote("v4")
    assert started.poll() is None
    assert used(started) == "v1"
    assert started.trouble is not None


def test_a_worker_that_starts_with_a_bad_active_version_serves_the_first_one_and_reports_it(
    world: World,
) -> None:
    world.promote("v2")
    world.spoil("v2")
    serving = world.serving()
    assert serving.start()
    assert used(serving) == "v1"
    assert serving.trouble is not None
    assert serving.trouble.startswith("version v2 cannot be served, v1 is: ")


def test_a_worker_that_starts_with_a_bad_active_version_serves_the_last_good_one(world: World) -> None:
    for version in ("v2", "v3"):
        world.promote(version)
    world.spoil("v3")
    serving = world.serving()
    assert serving.start()
    assert used(serving) == "v2"
    assert serving.trouble is not None
    assert serving.trouble.startswith("version v3 cannot be served, v2 is: ")
    assert (serving.state().version, serving.state().swap) == ("v2", "refused")


def test_a_damaged_version_is_not_promoted_by_an_operator(world: World, started: Serving) -> None:
    world.spoil("v2")
    with pytest.raises(Conflict, match=r"version v2 was not promoted: .* does not have the sha256"):
        Operations(world.engine, world.artifacts, list[str]().append, Via.CLI).promote(
            "v2", actor="ann", reason="better"
        )
    assert started.poll() is None
    assert started.trouble is None


def test_a_rollback_goes_ahead_while_the_store_does_not_answer(world: World, tmp_path: Path) -> None:
    """A bad version has to go, and training to be frozen, whatever the state of the store."""
    world.promote("v2")
    (tmp_path / "file").touch()
    elsewhere, warnings = Artifacts(str(tmp_path / "file" / "store")), list[str]()
    Operations(world.engine, elsewhere, warnings.append, Via.CLI).rollback(None, actor="ann", reason="worse")
    active = world.registry.active()
    assert active is not None
    assert (active.version, active.frozen) == ("v1", True)
    assert warnings[0].startswith("the files of v1 were not read: the artifact store")


def test_a_worker_whose_first_version_is_bad_serves_the_active_one_without_the_comparison(
    world: World,
) -> None:
    world.promote("v2")
    world.spoil("v1")
    serving = world.serving()
    assert serving.start()
    assert serving.trouble is None
    scores = serving.scorer.score(SHOP)
    assert (scores.model, scores.predictions.keys()) == ("v2", {SERVING, REFERENCE})


def test_nothing_is_served_when_both_are_bad(world: World) -> None:
    world.promote("v2")
    world.spoil("v1")
    world.spoil("v2")
    serving = world.serving()
    with pytest.raises(BadArtifact, match="sha256"):
        serving.start()
    assert serving.scorer.version is None


def test_without_a_model_there_is_nothing_to_begin_with(world: World, postgres: TestPostgres) -> None:
    engine = create_engine(postgres.database())
    migrate.upgrade(engine)
    with pytest.raises(Unavailable, match="run 'weir models init'"):
        Serving(world.settings, Registry(engine), world.artifacts).start()
    engine.dispose()
