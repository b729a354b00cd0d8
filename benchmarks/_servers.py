"""Servers of a benchmark's own: a real Kafka and a real Postgres for its length, in a folder that is then gone."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage import migrate
from storage.engine import create_engine
from stream.connection import KafkaConnection
from weir.local.install import install
from weir.local.kafka import KafkaServer
from weir.local.postgres import PostgresServer
from weir.local.stack import wipe


@dataclass
class Servers:
    """A broker, and a Postgres that hands out databases."""

    kafka: KafkaConnection
    postgres: PostgresServer
    databases: int = 0

    def database(self) -> str:
        """The URL of a new database with Weir's tables, all of them empty."""
        self.databases += 1
        url = self.postgres.create_database(f"benchmark_{self.databases}")
        engine = create_engine(url)
        migrate.upgrade(engine)
        engine.dispose()
        return url


@contextmanager
def postgres() -> Iterator[Servers]:
    """Postgres alone."""
    with tempfile.TemporaryDirectory(prefix="weir-benchmark-") as folder, _postgres(Path(folder)) as server:
        yield Servers(KafkaConnection(""), server)


@contextmanager
def kafka_and_postgres() -> Iterator[Servers]:
    """Both."""
    with tempfile.TemporaryDirectory(prefix="weir-benchmark-") as folder, _postgres(Path(folder)) as server:
        kafka = KafkaServer(Path(folder) / "kafka", install())
        try:
            kafka.start()
            yield Servers(KafkaConnection(kafka.bootstrap), server)
        finally:
            kafka.stop()


@contextmanager
def _postgres(folder: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(folder / "postgres", install())
    try:
        server.start()
        yield server
    finally:
        server.stop()
        wipe(folder)
