"""What an engine is made from, and what it says when nobody answers."""

import socket

import pytest
import sqlalchemy as sa

from importance.errors import InvalidInput, Unavailable
from storage.engine import create_engine, transaction


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite:///a", "mysql://host/a", "postgresql+asyncpg://host/a"])
def test_a_url_of_something_else_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(InvalidInput, match="WEIR_DATABASE_URL"):
        create_engine(url)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_schemes_are_taken(scheme: str) -> None:
    assert create_engine(f"{scheme}://ann@host/weir").url.drivername == "postgresql+psycopg"


def test_a_password_in_a_wrong_url_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        create_engine("mysql://ann:secret@host/weir")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://ann:sec@ret@host/weir", "has an @ too many: write @ as %40"),
        ("postgresql://ann:sec/ret@host/weir", "has an @ too many: write @ as %40"),
        ("postgresql://ann:sec?ret@host/weir", "has an @ too many"),
        ("postgresql://ann:sec#ret@host/weir", "has an @ too many"),
        ("postgresql://ann:secret@host/weir#", "has a #: write @ as %40"),
        ("postgresql://ann:secret%@host/weir", "has a % that two hexadecimal digits do not follow"),
        ("postgresql://ann:secret%ff@host/weir", "has percent-encoded bytes that are not UTF-8"),
        ("postgresql://ann:secret%00@host/weir", "has percent-encoded bytes that are not UTF-8"),
        ("postgresql://ann:secret@host/weir?sslmode=on", "has an unknown sslmode; it must be disable, allow, prefer"),
        ("postgresql://ann:secret@host/weir?sslmode=", "has an unknown sslmode"),
        ("postgresql://ann:secret@host/weir?sslmode=require&sslmode=disable", "has an unknown sslmode"),
        ("postgresql://ann:secret@host/weir?ssl=true", 'has an invalid connection option "ssl": leave it out'),
        ("postgresql://ann:secret@host:port/weir", "has no host or port that can be read: write postgresql://"),
        ("postgresql:ann:secret@host/weir", "is of another kind: it must be postgresql://"),
        ("mysql://ann:secret@host/weir", "is a mysql URL; only postgresql is supported: it must be postgresql://"),
    ],
)
def test_a_url_that_is_wrong_is_one_line_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        create_engine(url)
    assert str(caught.value).startswith(f"WEIR_DATABASE_URL {problem}")
    assert "\n" not in str(caught.value)
    assert "sec" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "user", "password", "host", "database"),
    [
        ("postgres://ann@host/weir?sslmode=require", "ann", None, "host", "weir"),
        ("postgresql://ann:a:b@host:5433/weir", "ann", "a:b", "host", "weir"),
        ("postgresql://a%40b:p%40s%2Fs%3A%25%23%3F%C3%A9@host/weir", "a@b", "p@s/s:%#?é", "host", "weir"),
        (
            "postgresql+psycopg://ann@[::1]:5433/weir?sslmode=verify-full&sslrootcert=/ca.pem",
            "ann",
            None,
            "::1",
            "weir",
        ),
        ("postgresql:///weir?host=/var/run/postgresql", None, None, None, "weir"),
    ],
)
def test_every_spelling_of_a_url_is_taken(
    url: str, user: str | None, password: str | None, host: str | None, database: str
) -> None:
    found = create_engine(url).url
    assert (found.username, found.password, found.host, found.database) == (user, password, host, database)


def test_a_server_that_is_not_there_is_unavailable_and_named_without_its_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening: connections are refused
        port = taken.getsockname()[1]
        engine = create_engine(f"postgresql://ann:secret@127.0.0.1:{port}/weir")
        with (
            pytest.raises(Unavailable, match=f"Postgres at 127.0.0.1:{port}/weir") as caught,
            transaction(engine) as it,
        ):
            it.execute(sa.select(1))
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
