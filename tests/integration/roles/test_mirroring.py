"""What an MLflow store holds of the versions: a real registry, real files, and a real store of MLflow in SQLite."""

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import sqlalchemy as sa
import torch
from structlog.testing import capture_logs

from importance.errors import Conflict, InvalidInput, Unavailable
from monitoring.metrics import TrainerMetrics, new_registry
from storage.runs import RunResult, Runs
from tests.integration.roles.test_serving import World, world
from tests.support.waiting import TIMEOUT_SECONDS, until
from trainer import version_directory as versions
from weir.cli.check import Finding, inspect
from weir.learning.exchange import card_of
from weir.learning.mlflow_mirror import MlflowMirror, source
from weir.roles.mirroring import mirroring, mlflow_mirror

__all__ = ["world"]  # a fixture

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, of the libraries that it uses


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an MLflow server, with a store of its own."""
    from mlflow import MlflowClient

    directory = tmp_path_factory.mktemp("server")
    store = f"sqlite:///{directory / 'mlflow.db'}"
    MlflowClient(store, store).search_registered_models()  # makes the tables: longer than a request may take
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_MLFLOW_SERVER_FILE_STORE", store)
        patch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(directory / "artifacts"))
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(round(TIMEOUT_SECONDS)))
        from mlflow.server import app
        from werkzeug.serving import make_server

        http = make_server("127.0.0.1", 0, app)
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.port}"
        http.shutdown()
        thread.join()
        http.server_close()


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[str]]]:
    """The host and port of an HTTP server that is not available, and the paths that it was asked for."""
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(503)
            self.send_header("Retry-After", "3600")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as http:
        thread = Thread(target=http.serve_forever)
        thread.start()
        yield f"127.0.0.1:{http.server_port}", asked
        http.shutdown()
        thread.join()


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
    assert mlflow_mirror(world.settings, world.engine).synchronise() == 4  # three versions, and the alias
    assert states(client) == {"v1": "active", "v2": "candidate", "v3": "candidate"}
    assert champion(client) == "v1"

    world.promote("v2")
    mirror = mlflow_mirror(world.settings, world.engine)  # of another trainer
    assert mirror.synchronise() == 3  # two states, and the alias
    assert mirror.synchronise() == mlflow_mirror(world.settings, world.engine).synchronise() == 0
    found = client.get_model_version_by_alias("weir", "champion")
    stored = world.registry.version("v2")
    assert found.tags["weir.artifact"] == f"{Path(world.settings.artifacts_url).as_uri()}/{stored.artifact}"
    assert found.source == f"runs:/{found.run_id}"
    assert found.tags["weir.sha256"] == stored.sha256
    assert "# Version v2" in found.description
    assert "promote by ann: better" in found.description
    parameters = client.get_run(found.run_id).data.params
    assert (parameters["trigger"], parameters["samples"], parameters["policy.after_samples"]) == (
        "amount", "1500", "1500",
    )  # fmt: skip

    world.rollback()
    world.spoil("v1")
    mirror.synchronise()
    assert states(client) == {"v1": "active", "v2": "rolled_back", "v3": "candidate"}
    back = client.get_model_version_by_alias("weir", "champion")
    assert back.tags["weir.version"] == "v1"
    assert back.description.startswith("no model card: ")


def test_an_outage_of_mlflow_is_counted_and_logged_once_and_what_was_missed_is_added_later(
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
        mlflow_mirror(world.settings, world.engine).synchronise()
    with capture_logs() as logs, mirroring(world.settings, world.engine, metrics, lambda: True):
        until("two attempts have failed", lambda: failures() >= 2)
        world.promote("v2")
        directory.unlink()
        directory.mkdir()
        until("it is mirrored again", lambda: any("again" in each["event"] for each in logs))
    assert [each["event"] for each in logs if each["log_level"] == "warning"] == [
        "versions are not mirrored in MLflow; learning continues"
    ]
    assert champion(client_of(world)) == "v2"


def test_without_the_extra_one_line_has_the_remedy(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    world.settings = world.settings.model_copy(update={"mlflow_uri": "sqlite:///mlflow.db"})
    with pytest.raises(InvalidInput, match=r"pip install 'weirstream\[mlflow\]'"):
        mlflow_mirror(world.settings, world.engine).synchronise()


def test_a_server_takes_versions_whose_artifacts_are_local(world: World, server: str) -> None:
    world.settings = world.settings.model_copy(update={"mlflow_uri": server})
    assert mlflow_mirror(world.settings, world.engine).synchronise() == 4
    assert states(client_of(world)) == {"v1": "active", "v2": "candidate", "v3": "candidate"}
    assert champion(client_of(world)) == "v1"


@pytest.mark.parametrize("address", ["file:///srv/models/v1-abc", "s3://models/weir/v1-abc", "gs://models/v1-abc"])
def test_a_source_passes_the_validation_of_a_server(server: str, address: str) -> None:
    from mlflow import MlflowClient
    from mlflow.server.handlers import _validate_source_run

    client = MlflowClient(server, server)
    run = client.create_run("0").info.run_id
    _validate_source_run(source(address, run), run)


def test_a_version_that_mlflow_refuses_does_not_hold_up_the_others(world: World, tmp_path: Path) -> None:
    name_store(world, tmp_path)
    runs = Runs(world.engine)
    runs.finish(runs.start("amount", {"no@name": 1}), RunResult.PROMOTED, candidate="v2")
    with pytest.raises(Unavailable, match=r"1 of 3 versions are not mirrored, the first is v2: MLflow at .*no@name"):
        mlflow_mirror(world.settings, world.engine).synchronise()
    assert states(client_of(world)) == {"v1": "active", "v3": "candidate"}
    assert champion(client_of(world)) == "v1"


def test_a_full_local_disk_is_not_reported_as_a_failure_of_mlflow(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_store(world, tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(Unavailable, match=r"3 of 3 .* v1: the local disk takes no files") as refused:
        mlflow_mirror(world.settings, world.engine).synchronise()
    assert "MLflow" not in str(refused.value)


def test_a_card_is_made_without_a_network(world: World) -> None:
    expected = sum(each.numel() for each in versions.load(Path(world.settings.home) / "v1").network.parameters())
    before = torch.get_rng_state()
    card = card_of(world.settings, world.registry, "v1")
    assert torch.get_rng_state().equal(before)
    assert f"- Network: interaction, {expected:,} parameters," in card


def test_two_mirrors_at_once_add_nothing_twice(world: World, tmp_path: Path) -> None:
    name_store(world, tmp_path)
    inside, go_on = Event(), Event()

    def slow_card(_: str) -> str:
        inside.set()
        assert go_on.wait(TIMEOUT_SECONDS)
        return "a card"

    settings = world.settings
    slow = MlflowMirror(settings.mlflow_uri, settings.mlflow_model, world.engine, slow_card, settings.artifacts_url)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(slow.synchronise)
        try:
            assert inside.wait(TIMEOUT_SECONDS)
            with pytest.raises(Conflict, match="another process is mirroring"):
                mlflow_mirror(settings, world.engine).synchronise()
        finally:
            go_on.set()
        assert first.result() == 4
    assert mlflow_mirror(settings, world.engine).synchronise() == 0
    assert len(client_of(world).search_model_versions("name='weir'")) == 3


def test_a_trainer_that_does_not_lead_mirrors_nothing(world: World, tmp_path: Path) -> None:
    name_store(world, tmp_path)
    asked: list[None] = []

    def leads() -> bool:
        asked.append(None)
        return False

    with mirroring(world.settings, world.engine, TrainerMetrics(new_registry()), leads):
        until("it has asked twice", lambda: len(asked) >= 2)
    assert not (tmp_path / "mlflow.db").exists()


def test_an_unexpected_error_is_logged_once_with_its_trace_and_mirroring_goes_on(world: World, tmp_path: Path) -> None:
    name_store(world, tmp_path)
    registry = new_registry()
    metrics = TrainerMetrics(registry)
    rename = "ALTER TABLE model_versions RENAME COLUMN {} TO {}"
    with world.engine.begin() as connection:
        connection.execute(sa.text(rename.format("metrics", "moved")))
    with capture_logs() as logs, mirroring(world.settings, world.engine, metrics, lambda: True):
        until("two attempts have failed", lambda: (registry.get_sample_value("weir_mlflow_failures_total") or 0) >= 2)
        with world.engine.begin() as connection:
            connection.execute(sa.text(rename.format("moved", "metrics")))
        until("it is mirrored", lambda: any("again" in each["event"] for each in logs))
    (warning,) = [each for each in logs if each["log_level"] == "warning"]
    assert isinstance(warning["exc_info"], sa.exc.ProgrammingError)


def test_an_outage_shows_at_the_first_answer_and_no_token_with_it(
    world: World, refusing: tuple[str, list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    address, asked = refusing
    world.settings = world.settings.model_copy(update={"mlflow_uri": f"http://t0k3n@{address}"})
    with pytest.raises(Unavailable, match=rf"MLflow at http://\*\*\*@{address}: ") as refused:
        mlflow_mirror(world.settings, world.engine).synchronise()
    assert len(asked) == 1
    assert "t0k3n" not in str(refused.value)
    assert "t0k3n" not in "".join(capfd.readouterr())


def checked(world: World) -> Finding:
    return next(found for found in inspect(world.settings) if found.name == "mlflow")


def test_weir_check_has_a_line_for_mlflow_and_makes_nothing_there(
    world: World, tmp_path: Path, refusing: tuple[str, list[str]]
) -> None:
    name_store(world, tmp_path)
    assert checked(world).state == "note"
    assert not (tmp_path / "mlflow.db").exists()
    mlflow_mirror(world.settings, world.engine).synchronise()
    assert checked(world) == Finding("mlflow", "ok", f"registered model weir at {world.settings.mlflow_uri}")
    world.settings = world.settings.model_copy(update={"mlflow_uri": f"http://{refusing[0]}"})
    assert checked(world).state == "wrong"
