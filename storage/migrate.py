"""Migrate the database up to this code's version of the tables, or down. One migrator at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from storage.engine import transaction
from storage.lock import Right, wait_for

_SCRIPTS = Path(__file__).parent / "migrations"


def head() -> str:
    """Return this code's version of the tables."""
    return ScriptDirectory(str(_SCRIPTS)).get_current_head() or "base"


def current(engine: sa.Engine) -> str:
    """Return the version of the tables that the database has; ``base`` when it has none."""
    with transaction(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision() or "base"


def check(engine: sa.Engine) -> bool:
    """Return whether the database is at head."""
    return current(engine) == head()


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Migrate up, all of it or nothing. A second migrator waits, and then finds nothing to do."""
    with _migrating(engine) as config:
        command.upgrade(config, revision)


def downgrade(engine: sa.Engine, revision: str = "base") -> None:
    """Migrate down. Rows of tables that the older version lacks are lost."""
    with _migrating(engine) as config:
        command.downgrade(config, revision)


@contextmanager
def _migrating(engine: sa.Engine) -> Iterator[Config]:
    with transaction(engine) as connection:
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))  # a large table takes what it takes
        connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
        wait_for(connection, Right.MIGRATE)
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
        yield config
