"""Migrations make exactly the tables that the code knows, and take them away again."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from importance.errors import Unavailable
from storage import migrate, tables
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer, rows


def test_the_migrated_database_has_the_tables_that_the_code_knows(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []


def test_check_says_whether_the_database_is_at_head(connect: Callable[[], sa.Engine]) -> None:
    engine = connect()
    assert (migrate.check(engine), migrate.current(engine)) == (False, "base")
    migrate.upgrade(engine)
    assert (migrate.check(engine), migrate.current(engine)) == (True, migrate.head())


def test_down_leaves_nothing_and_up_works_again(engine: sa.Engine) -> None:
    migrate.downgrade(engine)
    assert not migrate.check(engine)
    assert sa.inspect(engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(engine)
    assert migrate.check(engine)


def test_several_migrators_at_once_migrate_once(connect: Callable[[], sa.Engine]) -> None:
    engines = [connect() for _ in range(4)]
    with ThreadPoolExecutor(len(engines)) as threads:
        list(threads.map(migrate.upgrade, engines))
    assert migrate.check(engines[0])


def test_a_database_without_tables_says_what_to_do(connect: Callable[[], sa.Engine]) -> None:
    with pytest.raises(Unavailable, match="weir migrate"):
        BufferReader(connect()).stats()


def test_the_subject_of_a_sample_is_filled_in_for_rows_that_were_stored_without_it(engine: sa.Engine) -> None:
    owner = Owner(engine, Buffer(engine, CAPACITIES, TOPIC))
    owner.flush([offer("a", 1.0, subject="ann"), offer("b", 2.0, subject="bob")])
    stored = "SELECT id, subject FROM buffer_samples ORDER BY id"
    assert rows(engine, stored) == [("a", "ann"), ("b", "bob")]
    migrate.downgrade(engine, "0008")
    assert "subject" not in {column["name"] for column in sa.inspect(engine).get_columns("buffer_samples")}
    migrate.upgrade(engine)
    assert rows(engine, stored) == [("a", "ann"), ("b", "bob")]
