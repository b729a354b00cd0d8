"""Servers of a benchmark: a real Kafka and a real Postgres in a temporary directory."""

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
    """A broker, and a Postgres server for new databases."""

    kafka: KafkaConnection
    postgres: PostgresServer
    databases: int = 0

    def database(self) -> str:
        """Create a database with Weir's empty tables; return its URL."""
        self.databases += 1
        url = self.postgres.create_database(f"benchmark_{self.databases}")
        engine = create_engine(url)
        migrate.upgrade(engine)
        engine.dispose()
        return url


@contextmanager
def postgres() -> Iterator[Servers]:
    """Run Postgres for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="weir-benchmark-") as directory, _postgres(Path(directory)) as server:
        yield Servers(KafkaConnection(""), server)


@contextmanager
def kafka_and_postgres() -> Iterator[Servers]:
    """Run both servers for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="weir-benchmark-") as directory, _postgres(Path(directory)) as server:
        kafka = KafkaServer(Path(directory) / "kafka", install())
        try:
            kafka.start()
            yield Servers(KafkaConnection(kafka.bootstrap), server)
        finally:
            kafka.stop()


@contextmanager
def _postgres(directory: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(directory / "postgres", install())
    try:
        server.start()
        yield server
    finally:
        server.stop()
        wipe(directory)
