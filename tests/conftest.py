"""Real servers for the tests: one Kafka and one Postgres a session, started by the first test that asks for them.

``own_kafka`` and ``own_postgres`` are a test's own, to be killed and started again.
"""

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest

from tests.support.secured import SecuredKafka
from weir.local.install import Tools, install
from weir.local.kafka import KafkaServer
from weir.local.postgres import PostgresServer
from weir.local.stack import wipe


def pytest_configure(config: pytest.Config) -> None:
    """Let other people's deprecations pass, and bound no example's time; our own deprecations stay errors."""
    config.addinivalue_line("filterwarnings", "ignore:(read|open)_text is deprecated:DeprecationWarning")
    hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no fault of what is tested
    hypothesis.settings.load_profile("unhurried")


class TestPostgres(PostgresServer):
    """A server that hands out empty databases."""

    __test__ = False

    def database(self) -> str:
        """The URL of a new and empty database."""
        return self.create_database(f"test_{secrets.token_hex(6)}")


@pytest.fixture
def default_hangup() -> Iterator[None]:
    """SIGHUP as a terminal's processes have it; where the suite runs under nohup, it is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The servers' programs, fetched when they are missing."""
    return install()


@pytest.fixture(scope="session")
def kafka(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bootstrap address of the session's broker. Tests share it: give topics and groups names of their own."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), tools)
    server.start()
    yield server.bootstrap
    server.stop()


@pytest.fixture(scope="session")
def postgres(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestPostgres]:
    """The session's server; ``postgres.database()`` is the URL of a new, empty database."""
    with running_postgres(tools, tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture
def own_kafka(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A broker that runs and may be killed and started again."""
    server = KafkaServer(tmp_path_factory.mktemp("own_kafka"), tools)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def secured(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker that asks for TLS and a login, and the authority that signs for it."""
    server = SecuredKafka(tmp_path_factory.mktemp("secured"), tools)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_postgres(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestPostgres]:
    """A server that runs and may be killed and started again."""
    with running_postgres(tools, tmp_path_factory.mktemp("own_postgres"), durable=True) as server:
        yield server


@contextmanager
def running_postgres(tools: Tools, home: Path, durable: bool) -> Iterator[TestPostgres]:
    """A server in ``home``; its data, which may lie under ``/var/tmp``, is removed at the end, its log is not."""
    server = TestPostgres(home / "postgres", tools, log=home / "postgres.log", durable=durable)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        wipe(home)
