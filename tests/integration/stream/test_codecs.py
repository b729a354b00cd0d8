"""What a command and a worker say in an interpreter that lacks a codec's package."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Producer

from tests.integration.stream.harness import Sandbox
from tests.support.role import RoleProcess, not_ready, page, until_alive
from weir import settings

ROOT = Path(__file__).parents[3]


@pytest.fixture
def environment(sandbox: Sandbox) -> dict[str, str]:
    """The settings of a command, and nothing from outside."""
    outer = {name: value for name, value in os.environ.items() if name not in settings.VARIABLES}
    return outer | {
        "WEIR_HOME": str(sandbox.folder),
        "WEIR_KAFKA_BOOTSTRAP": sandbox.bootstrap,
        "WEIR_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "PYTHONPATH": str(ROOT),
    }


def weir_without(package: str) -> list[str]:
    """The command ``weir`` in an interpreter that cannot import the package."""
    return [sys.executable, "-c", f"import sys; sys.modules[{package!r}] = None; from weir.cli import main; main()"]


def test_a_command_that_cannot_read_a_batch_names_codec_and_package(
    sandbox: Sandbox, environment: dict[str, str], tmp_path: Path
) -> None:
    producer = Producer({"bootstrap.servers": sandbox.bootstrap, "compression.type": "zstd"})
    producer.produce(sandbox.topics.interactions, b"{}" * 1_000)
    assert producer.flush(30) == 0
    done = subprocess.run(
        [*weir_without("zstandard"), "replay", f"topic:{sandbox.topics.interactions}"],
        env=environment | {"WEIR_TOPIC_PREFIX": "other-"}, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"weir: Kafka at {sandbox.bootstrap} did not give all of {sandbox.topics.interactions}: "
        "batches compressed with zstd cannot be read: install zstandard\n"
    )


@pytest.mark.soak  # a worker takes 15 s of a core to start; test_codecs.py of the unit tests has what it asks
def test_a_worker_that_could_not_read_every_batch_says_so_by_readyz(
    environment: dict[str, str], tmp_path: Path
) -> None:
    worker = RoleProcess("worker", tmp_path, environment)
    worker.command = [*weir_without("cramjam"), "worker"]
    worker.start()
    line = "codecs: batches compressed with snappy, lz4, zstd cannot be read: install cramjam"
    try:
        until_alive("the reason", lambda: line in not_ready(worker), [worker])
        assert httpx.get(f"{page(worker)}/healthz", timeout=5).status_code == 200
    finally:
        assert worker.stop() == 0
