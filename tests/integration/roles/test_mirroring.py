"""What an MLflow store holds of the versions: a real registry, real files, and a real store of MLflow in SQLite."""

import sys
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from importance.errors import InvalidInput, Unavailable
from monitoring.metrics import TrainerMetrics, new_registry
from storage.runs import RunResult, Runs
from tests.integration.roles.test_serving import World, world
from tests.support.waiting import until
from weir.roles.mirroring import mirroring, mlflow_mirror

__all__ = ["world"]  # a fixture

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, of the libraries that it uses


def name_store(world: World, directory: Path) -> None:
    """Name a store in a directory in the settings."""
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    world.settings = world.settings.model_copy(update={"mlflow_uri": uri, "retry_limit_seconds": 0.1})


def client_of(world: World) -> Any:
    """A client of the store that the settings name."""
    from mlflow import MlflowClient

    return MlflowClient(world.settings.mlflow_uri, world.settings.mlflow_uri)


def states(client: Any) -> dict[str, str]:
    return {x.tags["weir.version"]: x.tags["weir.state"] for x in client.search_model_versions("name='weir'")}


def champion(client: Any) -> str:
    return str(client.get_model_version_by_alias("weir", "champion").tags["weir.version"])


def test_mlflow_has_every_version_with_its_run_card_and_state(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name_store(world, tmp_path)
    client = client_of(world)
    runs = Runs(world.engine)
    run = runs.start("amount", {"samples": 1_500, "policy": {"after_samples": 1_500, "drop": None}})
    runs.finish(run, RunResult.PROMOTED, candidate="v2")
    assert mlflow_mirror(world.settings, world.engine).bring() == 4  # three versions, and the alias
    assert states(client) == {"v1": "active", "v2": "candidate", "v3": "candidate"}
    assert champion(client) == "v1"

    world.promote("v2")
    mirror = mlflow_mirror(world.settings, world.engine)  # of another trainer
    assert mirror.bring() == 3  # two states, and the alias
    assert mirror.bring() == mlflow_mirror(world.settings, world.engine).bring() == 0
    found = client.get_model_version_by_alias("weir", "champion")
    stored = world.registry.version("v2")
    assert found.source == f"{Path(world.settings.artifacts_url).as_uri()}/{stored.artifact}"
    assert found.tags["weir.sha256"] == stored.sha256
    assert "# Version v2" in found.description
    assert "promote by ann: better" in found.description
    parameters = client.get_run(found.run_id).data.params
    assert (parameters["trigger"], parameters["samples"], parameters["policy.after_samples"]) == (
        "amount", "1500", "1500",
    )  # fmt: skip

    world.rollback()
    world.spoil("v1")
    mirror.bring()
    assert states(client) == {"v1": "active", "v2": "rolled_back", "v3": "candidate"}
    back = client.get_model_version_by_alias("weir", "champion")
    assert back.tags["weir.version"] == "v1"
    assert back.description.startswith("no model card: ")


def test_an_outage_of_mlflow_is_counted_and_logged_once_and_what_was_missed_is_made_up(
    world: World, tmp_path: Path
) -> None:
    directory = tmp_path / "mlflow"
    directory.write_text("not a directory yet")
    name_store(world, directory)
    registry = new_registry()
    metrics = TrainerMetrics(registry)

    def failures() -> float:
        return registry.get_sample_value("weir_mlflow_failures_total") or 0.0

    with pytest.raises(Unavailable, match="MLflow at sqlite"):
        mlflow_mirror(world.settings, world.engine).bring()
    with capture_logs() as logs, mirroring(world.settings, world.engine, metrics, lambda: True):
        until("two attempts have failed", lambda: failures() >= 2, 120)
        world.promote("v2")
        directory.unlink()
        directory.mkdir()
        until("it is mirrored again", lambda: any("again" in each["event"] for each in logs), 120)
    assert [each["event"] for each in logs if each["log_level"] == "warning"] == [
        "versions are not mirrored in MLflow; learning continues"
    ]
    assert champion(client_of(world)) == "v2"


def test_without_the_extra_one_line_has_the_remedy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    world.settings = world.settings.model_copy(update={"mlflow_uri": "sqlite:///mlflow.db"})
    with pytest.raises(InvalidInput, match=r"pip install 'weirstream\[mlflow\]'"):
        mlflow_mirror(world.settings, world.engine).bring()
