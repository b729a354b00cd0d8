"""The whole stack under a parent that is interrupted and killed: nothing stays behind, and nothing is lost."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from importance.errors import Conflict
from weir.local.install import Tools
from weir.local.lock import locked
from weir.local.ports import until
from weir.local.process import runs
from weir.local.stack import LocalStack, wipe

ROLE = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = "import signal; signal.signal(15, signal.SIG_IGN); " + ROLE
NO_KAFKA = "127.0.0.1:1"

Parent = subprocess.Popen[str]
Start = Callable[..., Parent]


@pytest.fixture
def start(tools: Tools, tmp_path: Path) -> Iterator[Start]:
    """Starts parents in ``tmp_path``; those that still run are killed at the end, and what they made is removed."""
    parents: list[Parent] = []

    def start_parent(home: Path, kafka: str = NO_KAFKA, role: str = ROLE) -> Parent:
        command = [sys.executable, str(Path(__file__).with_name("parent.py")), str(home), kafka, role]
        parents.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return parents[-1]

    yield start_parent
    for parent in parents:
        parent.kill()
        parent.communicate()
    with locked(tmp_path):
        wipe(tmp_path)


def running(parent: Parent) -> dict[str, Any]:
    """The addresses that the parent prints when everything runs."""
    assert parent.stdout is not None
    for line in parent.stdout:
        if line.startswith("{"):
            return dict(json.loads(line))
    raise AssertionError(parent.communicate()[1])


def family(parent: Parent) -> list[int]:
    """Every process below the parent."""
    return [child.pid for child in psutil.Process(parent.pid).children(recursive=True)]


def gone(pids: list[int]) -> bool:
    """Whether all have ended, in reasonable time."""
    return until(lambda: not any(map(runs, pids)), lambda: False, 30)


def query(addresses: dict[str, Any], text: str) -> list[Any]:
    with psycopg.connect(addresses["database_url"].replace("+psycopg", ""), autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchall() if cursor.description else []


def test_a_killed_parent_leaves_no_process_and_loses_no_data(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path, "own")
    first = running(parent)
    query(first, "CREATE TABLE kept AS SELECT 7 AS number")
    admin = KafkaAdminClient(bootstrap_servers=first["kafka"])
    admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=first["kafka"], acks="all")
    producer.send("kept", b"seven").get(30)
    producer.close()
    pids = family(parent)
    assert len(pids) > 6  # three keepers, three programs, the backends of Postgres

    parent.kill()
    assert gone(pids)

    second = running(start(tmp_path, "own"))
    assert query(second, "SELECT number FROM kept") == [(7,)]
    consumer = KafkaConsumer(bootstrap_servers=second["kafka"], auto_offset_reset="earliest")
    consumer.assign([TopicPartition("kept", 0)])
    assert next(consumer).value == b"seven"
    consumer.close()


def test_a_new_parent_waits_for_what_is_left_of_a_killed_one(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path)
    query(running(parent), "CREATE TABLE kept AS SELECT 7 AS number")
    parent.kill()  # and at once, while its servers still end:
    assert query(running(start(tmp_path)), "SELECT number FROM kept") == [(7,)]


def test_an_interrupt_ends_roles_before_servers(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path, "own")
    running(parent)
    pids = family(parent)
    parent.send_signal(signal.SIGINT)
    said, errors = parent.communicate(timeout=60)
    assert [line.split()[0] for line in said.splitlines()] == ["role", "kafka", "postgres"]
    assert (parent.returncode, errors) == (0, "")
    assert gone(pids)


def test_a_second_interrupt_ends_everything_at_once(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path, role=STUBBORN)
    running(parent)
    pids = family(parent)
    log = tmp_path / "logs" / "role.log"
    assert until(lambda: log.exists() and log.read_text() == "up\n", lambda: False, 30)
    parent.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):  # the role does not listen
        parent.wait(1)
    parent.send_signal(signal.SIGINT)
    parent.communicate(timeout=60)
    assert parent.returncode == 130
    assert gone(pids)


def test_an_interrupt_breaks_off_the_start_of_a_server(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path, "own")
    assert until((tmp_path / "kafka" / "server.properties").exists, lambda: False, 60)
    pids = family(parent)
    parent.send_signal(signal.SIGTERM)
    said, errors = parent.communicate(timeout=60)
    assert "broken off" in said
    assert (parent.returncode, errors) == (0, "")
    assert gone(pids)


def test_two_stacks_do_not_share_a_home(start: Start, tmp_path: Path) -> None:
    first = start(tmp_path)
    running(first)
    _, errors = start(tmp_path).communicate(timeout=60)
    expected = (
        f"a stack already runs in {tmp_path} (process {first.pid}): end it, or set WEIR_HOME to another directory\n"
    )
    assert errors == expected


def test_a_stale_pid_file_does_not_keep_postgres_from_starting(start: Start, tmp_path: Path) -> None:
    parent = start(tmp_path)
    running(parent)
    parent.send_signal(signal.SIGTERM)
    parent.communicate(timeout=60)
    # The number of a process that lives and is no server: Postgres by itself would refuse.
    (tmp_path / "postgres" / "data" / "postmaster.pid").write_text(f"{psutil.Process().pid}\n/elsewhere\n")
    assert running(start(tmp_path))["database_url"]


def test_a_killed_broker_comes_back_at_its_address(tools: Tools, tmp_path: Path) -> None:
    lines: list[str] = []
    with locked(tmp_path) as held:
        stack = LocalStack(
            tmp_path, None, "postgresql://given/db", install=lambda: tools, report=lines.append, held=held
        )
        stack.start()
        assert stack.kafka is not None
        assert stack.database_url == "postgresql://given/db"
        address, before = stack.kafka_bootstrap, stack.kafka.pid
        stack.kafka.kill()
        assert until(lambda: stack.kafka is not None and stack.kafka.answers(), lambda: False, 60)
        assert stack.kafka.pid != before
        assert stack.kafka.bootstrap == address
        stack.stop()
    assert lines[0].startswith("kafka ended with exit status 137")


def test_servers_that_are_given_are_neither_fetched_nor_started(tmp_path: Path) -> None:
    def fetch() -> Tools:
        raise AssertionError("nothing is needed")

    with locked(tmp_path) as held:
        stack = LocalStack(tmp_path, "there:9092", "postgresql://there/db", install=fetch, report=print, held=held)
        stack.start()
        assert stack.supervisor.children == []
        stack.stop()


def test_a_home_is_free_again_when_its_holder_lets_go(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Conflict, match="a stack already runs"), locked(tmp_path):
        pass
    with locked(tmp_path):
        pass


def test_a_wipe_removes_only_what_was_made_here(tmp_path: Path) -> None:
    for name in ("kafka/data", "postgres/data", "logs", "artifacts", "thesis"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "stack.json").touch()
    (tmp_path / "notes.txt").touch()
    wipe(tmp_path, ["artifacts"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "thesis"]
