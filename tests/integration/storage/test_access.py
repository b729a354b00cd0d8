"""How a stranger's database is reached: passwords, TLS, and what is said where role or database are missing."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql

from importance.errors import Unavailable
from storage import migrate
from storage.engine import create_engine, transaction
from tests.conftest import TestPostgres

PASSWORD = "p@s/s:%#?=&é ü"
ROLE = "weir-shop"


@pytest.fixture(scope="module")
def server(postgres: TestPostgres) -> Iterator[str]:
    """Host and port of a server that wants a password of one role, which has a database of its own."""
    with psycopg.connect(postgres.url.replace("+psycopg", ""), autocommit=True) as connection:
        hba = Path(connection.execute("SHOW hba_file").fetchone()[0])  # type: ignore[index]
        trusting = hba.read_text()
        hba.write_text(f'host all "{ROLE}" 127.0.0.1/32 scram-sha-256\n{trusting}')
        role = sql.Identifier(ROLE)
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, PASSWORD))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))
        connection.execute("SELECT pg_reload_conf()")
        yield f"127.0.0.1:{postgres.port}"
        hba.write_text(trusting)


def failure(url: str) -> str:
    """The one line of a connection that is refused."""
    engine = create_engine(url)
    with pytest.raises(Unavailable) as refused, transaction(engine):
        pass
    engine.dispose()
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
@pytest.mark.parametrize("query", ["", "?sslmode=disable", "?sslmode=prefer&connect_timeout=7"])
def test_any_password_in_any_spelling_of_the_url_opens_the_database(server: str, scheme: str, query: str) -> None:
    engine = create_engine(f"{scheme}://{ROLE}:{quote(PASSWORD, safe='')}@{server}/{ROLE}{query}")
    with transaction(engine) as connection:
        assert connection.scalar(sa.text("SELECT current_user")) == ROLE
    engine.dispose()


def test_a_wrong_password_is_one_line_that_does_not_repeat_it(server: str) -> None:
    said = failure(f"postgresql://{ROLE}:hunter22@{server}/shop")
    assert f'password authentication failed for user "{ROLE}"' in said
    assert f"if there is no such role, run as a superuser: CREATE ROLE \"{ROLE}\" LOGIN PASSWORD '...';" in said
    assert "hunter22" not in said


def test_tls_that_the_server_has_not_is_one_line(server: str) -> None:
    said = failure(f"postgresql://{ROLE}:hunter22@{server}/shop?sslmode=require")
    assert "server does not support SSL, but SSL was required" in said
    assert "hunter22" not in said


def test_what_is_said_of_a_missing_role_and_database_makes_them(postgres: TestPostgres) -> None:
    """As long as something is missing the error says what to run; then Weir can make its tables."""
    url = f"postgresql://ann_of_the_shop:hunter22@127.0.0.1:{postgres.port}/Shop-1"
    recipe = "CREATE ROLE ann_of_the_shop LOGIN PASSWORD '...'; CREATE DATABASE \"Shop-1\" OWNER ann_of_the_shop;"
    said = failure(url)
    assert said.endswith(f'role "ann_of_the_shop" does not exist; run as a superuser: {recipe}')
    assert "hunter22" not in said
    first, second, _ = recipe.split(";")
    run(postgres, first)
    said = failure(url)
    assert said.endswith(f'database "Shop-1" does not exist; run as a superuser:{second};')
    run(postgres, second)
    engine = create_engine(url)
    migrate.upgrade(engine)
    engine.dispose()


def test_a_database_that_belongs_to_another_role_says_what_is_missing(postgres: TestPostgres) -> None:
    run(postgres, "CREATE ROLE guest_of_the_shop LOGIN")
    database = postgres.database().rpartition("/")[2]
    engine = create_engine(f"postgresql://guest_of_the_shop@127.0.0.1:{postgres.port}/{database}")
    with pytest.raises(Unavailable, match=r"denies a right: permission denied .* ALTER DATABASE"):
        migrate.upgrade(engine)
    engine.dispose()


def run(postgres: TestPostgres, statement: str) -> None:
    """As a superuser."""
    with psycopg.connect(postgres.url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(statement.encode())
