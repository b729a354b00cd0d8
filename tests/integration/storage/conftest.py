"""Databases for the tests of the room that stores. Libraries are imported when a test needs them."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tests.conftest import TestPostgres


@pytest.fixture
def connect(postgres: "TestPostgres") -> Iterator[Callable[[], "sa.Engine"]]:
    """Makes engines for one new, empty database: a worker each, if a test wants several."""
    from storage.engine import create_engine

    url, engines = postgres.database(), []

    def make() -> "sa.Engine":
        engines.append(create_engine(url))
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def engine(connect: Callable[[], "sa.Engine"]) -> "sa.Engine":
    """A database that is up to date."""
    from storage import migrate

    engine = connect()
    migrate.upgrade(engine)
    return engine
