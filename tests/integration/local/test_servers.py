"""The servers of the local stack: they start, survive a kill with their data, and come back on the same port."""

import os
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from importance.errors import Unavailable
from weir.local.install import Tools
from weir.local.kafka import KafkaServer
from weir.local.postgres import NOBODY, Account, PostgresServer
from weir.local.stack import wipe

AS_NOBODY = Account(user=NOBODY)


class Databases(Protocol):
    """What the fixture ``postgres`` offers to tests."""

    def database(self) -> str: ...


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(url.replace("postgresql+psycopg", "postgresql"))


def test_acknowledged_records_survive_a_kill_of_the_broker(own_kafka: KafkaServer) -> None:
    bootstrap = own_kafka.bootstrap
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic("kept", num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    for number in range(100):
        producer.send("kept", str(number).encode())
    producer.flush()
    producer.close()

    own_kafka.kill()
    assert not own_kafka.answers()
    own_kafka.start()

    assert own_kafka.bootstrap == bootstrap
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    consumer.assign([TopicPartition("kept", 0)])
    values = [next(consumer).value for _ in range(100)]
    consumer.close()
    assert values == [str(number).encode() for number in range(100)]


def test_a_server_that_dies_as_soon_as_it_answers_is_unavailable(tools: Tools, tmp_path: Path) -> None:
    class Dying(PostgresServer):
        """It answers once."""

        def answers(self) -> bool:
            if ready := super().answers():
                self.kill()
            return ready

    server = Dying(tmp_path / "postgres", tools)
    with pytest.raises(Unavailable, match="Postgres ended again"):
        server.start()
    wipe(tmp_path)


def test_committed_rows_survive_a_kill_of_postgres(own_postgres: PostgresServer) -> None:
    url = own_postgres.url
    with connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS number")

    own_postgres.kill()
    assert not own_postgres.answers()
    own_postgres.start()

    assert own_postgres.url == url
    with connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_each_database_of_a_test_is_empty(postgres: Databases) -> None:
    first, second = postgres.database(), postgres.database()
    with connect(first) as connection:
        connection.execute("CREATE TABLE mine (number int)")
    with connect(second) as connection:
        assert connection.execute("SELECT to_regclass('mine')").fetchone() == (None,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_where_namespaces_are_refused_root_runs_postgres_as_nobody(tools: Tools, tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # nobody cannot reach this folder
    server = PostgresServer(tmp_path / "postgres", tools, log=tmp_path / "log", find_account=lambda: AS_NOBODY)
    try:
        server.start()
        with connect(server.url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        server.kill()
        server.start()
        with connect(server.url) as connection:
            assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    finally:
        server.stop()
        wipe(tmp_path)
    assert not server.directory.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder of another user")
def test_a_folder_that_somebody_else_put_there_is_refused(tools: Tools, tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "postgres", tools, log=tmp_path / "log", find_account=lambda: AS_NOBODY)
    server.directory.mkdir()
    os.chown(server.directory, 12345, 12345)
    try:
        with pytest.raises(Unavailable, match="belongs to another user"):
            server.start()
    finally:
        wipe(tmp_path)
