"""Faults around real processes: each is said once, nothing wrong is served, and work goes on when it is over."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from storage.engine import transaction
from storage.registry import Registry
from tests.conftest import TestPostgres
from tests.support.feeder import visits
from tests.support.role import not_ready, page, running
from tests.support.rollback import promote, register
from tests.support.service import Service
from tests.support.worker import WorkerProcess
from weir.local.kafka import KafkaServer


def changes(process: WorkerProcess, dependency: str) -> list[str]:
    """What a role's log says of one dependency, in order."""
    lines = process.said("dependency unavailable") + process.said("dependency recovered")
    return [x["event"] for x in sorted(lines, key=lambda x: x["timestamp"]) if x["dependency"] == dependency]


def is_away(process: WorkerProcess, dependency: str) -> bool:
    return any(reason.startswith(f"{dependency}: ") for reason in not_ready(process))


def up(process: WorkerProcess) -> dict[str, float]:
    """Which dependencies answer a role, by its metrics."""
    text = httpx.get(f"{page(process)}/metrics", timeout=30).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return {each.labels["dependency"]: each.value for each in families["weir_dependency_up"].samples}


def test_every_role_says_what_is_away_and_goes_on_by_itself_when_it_is_back(
    mortal: Service, own_kafka: KafkaServer, own_postgres: TestPostgres
) -> None:
    environment = mortal.environment | {"WEIR_API_PORT": "0"}
    mortal.send(visits(0, 200))
    with ExitStack() as stack:
        roles = [stack.enter_context(running(r, mortal.home, environment)) for r in ("worker", "trainer", "api")]
        api = roles[2]
        pids = [role.pid for role in roles]
        mortal.until("every role", lambda: not any(map(not_ready, roles)))
        mortal.until("the first samples", lambda: mortal.decided() > 0)

        own_postgres.kill()  # while nothing is sent: it is found out all the same
        mortal.until("word of Postgres", lambda: all(is_away(role, "storage") for role in roles))
        mortal.send(visits(200, 200))
        own_postgres.start()
        mortal.until("every role again", lambda: not any(map(not_ready, roles)))
        mortal.until("its samples", lambda: mortal.decided() > 250)

        own_kafka.kill()
        mortal.until("word of Kafka", lambda: all(is_away(role, "kafka") for role in roles))
        own_kafka.start()
        mortal.until("every role again", lambda: not any(map(not_ready, roles)))
        own_kafka.send(signal.SIGSTOP)  # now it neither answers nor refuses
        mortal.until("word of a Kafka that hangs", lambda: all(is_away(role, "kafka") for role in roles))
        status = httpx.get(f"{page(api)}/v1/status", timeout=60).json()
        assert status["kafka"].startswith("Kafka at ")  # what needs no Kafka is answered
        own_kafka.send(signal.SIGCONT)
        mortal.until("every role again", lambda: not any(map(not_ready, roles)))
        decided = mortal.decided()
        mortal.send(visits(400, 200))
        mortal.until("more samples", lambda: mortal.decided() > decided + 100)

        assert [role.pid for role in roles] == pids
        assert all(role.alive for role in roles)
        assert all(changes(role, "storage") == ["dependency unavailable", "dependency recovered"] for role in roles)
        assert all(changes(role, "kafka") == ["dependency unavailable", "dependency recovered"] * 2 for role in roles)
        assert all(up(role) == {"kafka": 1, "storage": 1} for role in roles)


def test_a_version_with_a_spoiled_file_scores_nothing_and_the_worker_says_so_and_goes_on(service: Service) -> None:
    worker = service.start()
    service.send(visits(0, 200))
    service.until("the first samples", lambda: service.decided() > 0)
    version = register(service, seed=2)
    found = Registry(service.engine).version(version)
    weights = Path(service.settings.artifacts_url) / found.artifact / "model.safetensors"
    intact = weights.read_bytes()
    weights.write_bytes(intact[:-1] + b"?")
    promote(service, version)
    service.until("the refusal", lambda: is_away(worker, "model"))
    assert any(f"version {version} cannot be served, v1 is" in reason for reason in not_ready(worker))
    decided = service.decided()
    service.send(visits(200, 200))
    service.until("more samples", lambda: service.decided() > decided + 100)
    service.weir("models", "rollback", "--reason", "its file is spoiled")
    service.until("readiness", lambda: not not_ready(worker))
    scored = [value for records in service.read(service.topics.importance).values() for _, _, value in records]
    assert {json.loads(value)["model"] for value in scored} == {"v1"}
    assert len(worker.said("model refused")) == 1

    promote(service, version)
    service.until("another refusal", lambda: is_away(worker, "model"))
    weights.write_bytes(intact)
    service.until("the restored version", lambda: worker.said("model swapped")[-1]["version"] == version)
    service.until("readiness", lambda: not not_ready(worker))


@pytest.mark.parametrize(
    ("table", "column"),
    [("buffer_samples", "sample"), ("model_pointer", "frozen")],
    ids=["a partition", "the swap of models"],
)
def test_an_error_that_waiting_cannot_mend_ends_the_process_and_the_next_one_goes_on(
    service: Service, table: str, column: str
) -> None:
    service.start()
    service.send(visits(0, 200))
    service.until("the first samples", lambda: service.decided() > 0)
    rename(service, table, column, "lost")
    service.send(visits(200, 200))
    service.until("the end of the worker", lambda: any("exit status 70" in line for line in service.said))
    rename(service, table, "lost", column)
    service.send(visits(400, 200))
    service.until("the rest", lambda: service.decided() > 600)


def rename(service: Service, table: str, column: str, to: str) -> None:
    """What a migration by somebody else does to a worker that runs."""
    with transaction(service.engine) as connection:
        connection.execute(sa.text(f"ALTER TABLE {table} RENAME COLUMN {column} TO {to}"))


@pytest.mark.parametrize("role", ["worker", "trainer", "api"])
def test_a_role_with_a_wrong_setting_ends_with_2_and_one_line_before_it_begins(role: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "weir", role],
        env=os.environ | {"WEIR_BUFFER_CAPACITY": "0", "WEIR_HOME": str(tmp_path / "home")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = "weir: WEIR_BUFFER_CAPACITY is '0'; it must be at least 4: samples the buffer holds, over all strata\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)
    assert list(tmp_path.iterdir()) == []
