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
