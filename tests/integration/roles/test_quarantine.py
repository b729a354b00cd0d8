"""The trainer scores again, in the background, what a version in quarantine has scored."""

from pathlib import Path

from msgspec.structs import replace

from importance.strata import NEGATIVE
from monitoring.metrics import TrainerMetrics, new_registry
from storage.buffer import Buffer
from storage.quarantine import Quarantine
from tests.conftest import TestPostgres
from tests.integration.roles.test_serving import World
from tests.support.storage import TOPIC, Owner, offer, rows
from weir.learning.quarantine_watch import QuarantineWatch
from weir.settings import values

MODELS = "SELECT model, count(*) FROM buffer_samples GROUP BY model ORDER BY model"


def test_rows_of_a_rolled_back_version_are_scored_by_the_restored_one(postgres: TestPostgres, tmp_path: Path) -> None:
    world = World(postgres.database(), tmp_path)
    world.promote("v2")
    configs, capacities = values.scoring_configs(world.settings), values.capacities(world.settings)
    owner = Owner(world.engine, Buffer(world.engine, capacities, TOPIC, scoring_configs=configs))
    owner.flush([replace(offer(f"i{n}", 5.0, NEGATIVE), model=f"v{n % 2 + 1}") for n in range(20)])
    registry = new_registry()
    watch = QuarantineWatch(world.settings, world.engine, world.artifacts, TrainerMetrics(registry))
    watch.poll(2)
    assert rows(world.engine, MODELS) == [("v1", 10), ("v2", 10)]
    world.rollback()
    watch.poll(3)  # the log has grown: at once
    assert rows(world.engine, MODELS) == [("v1", 20)]
    assert [(each.version, each.rescored) for each in Quarantine(world.engine).standing()] == [("v2", 10)]
    assert registry.get_sample_value("weir_quarantined_rows") == 0
    world.engine.dispose()


def test_without_an_active_version_that_can_score_the_rows_wait_and_are_counted(
    postgres: TestPostgres, tmp_path: Path
) -> None:
    world = World(postgres.database(), tmp_path)
    world.promote("v2")
    configs, capacities = values.scoring_configs(world.settings), values.capacities(world.settings)
    owner = Owner(world.engine, Buffer(world.engine, capacities, TOPIC, scoring_configs=configs))
    owner.flush([replace(offer("i1", 5.0, NEGATIVE), model="v2")])
    world.rollback()
    world.spoil("v1")
    registry = new_registry()
    QuarantineWatch(world.settings, world.engine, world.artifacts, TrainerMetrics(registry)).poll(3)
    assert rows(world.engine, MODELS) == [("v2", 1)]
    assert registry.get_sample_value("weir_quarantined_rows") == 1
    world.engine.dispose()
