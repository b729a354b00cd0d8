"""``weir up`` as a process on given servers: how it ends, and what it says then."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from storage import migrate
from storage.engine import create_engine
from storage.registry import Registry
from weir import settings

Up = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def database(postgres: Any) -> str:
    """An empty database."""
    url: str = postgres.database()
    return url


@pytest.fixture
def registry(database: str) -> Iterator[Registry]:
    """The registry of that database."""
    engine = create_engine(database)
    migrate.upgrade(engine)
    yield Registry(engine)
    engine.dispose()


@pytest.fixture
def up(kafka: str, database: str, tmp_path: Path) -> Iterator[Up]:
    """Starts ``weir up`` on the session's servers, with topics of its own."""
    begun: list[subprocess.Popen[str]] = []
    environment = {name: value for name, value in os.environ.items() if name not in settings.VARIABLES} | {
        "WEIR_HOME": str(tmp_path / "home"),
        "WEIR_KAFKA_BOOTSTRAP": kafka,
        "WEIR_DATABASE_URL": database,
        "WEIR_TOPIC_PREFIX": f"up-{secrets.token_hex(4)}-",
        "WEIR_DATA_DIR": str(tmp_path / "data"),
        "WEIR_API_PORT": "0",
    }

    def start(*words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "weir", "up", *words]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        begun.append(subprocess.Popen(command, env=environment, cwd=tmp_path, text=True, **pipes))
        return begun[-1]

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def heard(process: subprocess.Popen[str], text: str) -> bool:
    """Wait for a line with that text on standard error; False when the process ends before."""
    assert process.stderr is not None
    return any(text in line for line in process.stderr)


def serving(registry: Registry) -> None:
    """Let there be a version, whatever its files: nobody makes a first one then."""
    registry.register("v1", "v1-files", "0" * 64)
    registry.promote("v1", expected_sequence=None, actor="test", reason="made for a test")


def test_an_interrupt_breaks_off_the_training_of_the_first_model(up: Up, registry: Registry) -> None:
    process = up("--replay", "simulation")
    assert heard(process, "training the first model")
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate()
    assert (process.returncode, said) == (130, "")
    assert registry.active() is None


def test_an_interrupt_prints_the_object_of_the_last_state(up: Up, registry: Registry) -> None:
    serving(registry)
    process = up("--no-replay", "--json")
    assert heard(process, "events 0")
    process.send_signal(signal.SIGINT)
    said, told = process.communicate()
    assert process.returncode == 0
    assert told.splitlines()[-1].startswith("CPU seconds: ")  # below all that ends
    assert said.count("\n") == 1
    printed = json.loads(said)
    assert {"events": 0, "samples": 0, "promotions": 0}.items() <= printed.items()
    assert printed["auc"]["second_half"] == {"since": None, "serving": None, "frozen": None, "reference": None}
    assert {"replay", "scoring", "fine_tuning", "api"} <= {
        stage for stage, used in printed["cpu_seconds"].items() if used > 0
    }


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file in the place of the real shop's table."""
    table = tmp_path / "data" / "online_retail" / "transactions.parquet"
    table.parent.mkdir(parents=True)
    table.write_bytes(b"no table")
    return table


def test_a_replay_that_cannot_be_read_ends_it_in_one_line(up: Up, registry: Registry, damaged: Path) -> None:
    serving(registry)
    process = up("--replay", "online_retail", "--once", "--json")
    said, errors = process.communicate()
    assert (process.returncode, said) == (2, "")
    assert errors.splitlines()[-1].startswith(f"weir: {damaged} cannot be read as order lines")


@pytest.mark.parametrize("words", [[], ["--no-replay"]])
def test_the_first_model_learns_from_the_shop_of_the_packages_with_a_replay_and_without(
    up: Up, tmp_path: Path, words: list[str]
) -> None:
    process = up(*words)
    assert heard(process, "training the first model")
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert not (tmp_path / "data").exists()
