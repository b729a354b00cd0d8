"""A real PgBouncer: by transaction it is refused before anything is done, by session all works as without it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from importance.errors import InvalidInput
from storage import migrate
from storage.engine import create_engine, transaction
from storage.lock import TrainerLock
from storage.pooler import is_direct, shares_sessions
from tests.conftest import TestPostgres
from tests.support.pgbouncer import find, pooled

Pooled = Callable[[str], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def program() -> Path:
    found = find()
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture
def behind(program: Path, postgres: TestPostgres, tmp_path: Path) -> Pooled:
    """Starts a PgBouncer of a mode before a new and empty database; its URL."""
    database = postgres.database().rpartition("/")[2]
    return lambda mode: pooled(program, postgres, database, tmp_path, mode)


@pytest.fixture
def strangers() -> Iterator[list[psycopg.Connection]]:
    """Connections of others, closed at the end."""
    connections: list[psycopg.Connection] = []
    yield connections
    for connection in connections:
        connection.close()


def test_a_pooler_by_transaction_is_refused_before_anything_is_done(behind: Pooled) -> None:
    with behind("transaction") as url:
        engine = create_engine(url)
        for _ in range(2):  # a second try finds the same
            with pytest.raises(
                InvalidInput, match="pool_mode = transaction: set pool_mode = session for it"
            ) as refused:
                migrate.upgrade(engine)
            assert "\n" not in str(refused.value)
        engine.dispose()


def test_a_pooler_by_transaction_is_found_while_others_use_it(
    behind: Pooled, strangers: list[psycopg.Connection]
) -> None:
    """Idle sessions that others gave back, and sessions that others are in: whichever comes next."""
    with behind("transaction") as url:
        for number in range(8):
            stranger = psycopg.connect(url)
            strangers.append(stranger)
            stranger.execute("SELECT pg_backend_pid()")
            if number % 2:
                stranger.commit()
        with closing(psycopg.connect(url)) as one, closing(psycopg.connect(url)) as other:
            assert not is_direct(one)
            assert any(shares_sessions(one, other) for _ in range(3))


def test_a_pooler_by_session_is_as_good_as_none(behind: Pooled) -> None:
    with behind("session") as url:
        engine, second = create_engine(url), create_engine(url)
        migrate.upgrade(engine)
        assert migrate.check(second)
        with TrainerLock(engine) as lock:
            assert lock.acquire()
            other = TrainerLock(second)
            assert not other.acquire()
        assert other.acquire()
        other.release()
        with transaction(engine) as connection:
            assert connection.scalar(sa.text("SHOW statement_timeout")) == "1min"
            assert connection.scalar(sa.text("SHOW timezone")) == "UTC"
        engine.dispose()
        second.dispose()


def test_without_a_pooler_no_second_connection_is_made(postgres: TestPostgres) -> None:
    with closing(psycopg.connect(postgres.database().replace("+psycopg", ""))) as connection:
        assert is_direct(connection)


def test_what_a_url_sets_for_its_sessions_wins(postgres: TestPostgres) -> None:
    engine = create_engine(f"{postgres.database()}?options=-c%20statement_timeout%3D7000%20-c%20work_mem%3D8MB")
    with transaction(engine) as connection:
        shown = [connection.scalar(sa.text(f"SHOW {name}")) for name in ("statement_timeout", "work_mem", "jit")]
    engine.dispose()
    assert shown == ["7s", "8MB", "off"]
