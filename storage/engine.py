"""Connections to Postgres, and the one place where its failures become ours.

Knows nothing of what is stored. Every other module of this room speaks to the database inside a `transaction`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec
import numpy as np
import psycopg
import sqlalchemy as sa
from psycopg import errors
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from importance.errors import InvalidInput, Unavailable

Engine = sa.Engine  # for those who only hand it on

DRIVER = "postgresql+psycopg"

# Enough for a transaction that is healthy; what takes longer is ended, reported as Unavailable, and tried again.
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60
LOCK_SECONDS = 10
IDLE_IN_TRANSACTION_SECONDS = 60

_GONE = ("08", "57")  # classes of SQLSTATE: connection exceptions, and a server that stops or starts


def create_engine(url: str, *, application_name: str = "weir", pool_size: int = 5) -> sa.Engine:
    """An engine for ``postgresql://user:password@host:port/database``; connects to nothing yet."""
    try:
        parsed = sa.make_url(url)
    except ArgumentError:
        parsed = None  # the text of a URL may hold a password: it is not repeated
    if parsed is None or parsed.drivername not in ("postgres", "postgresql", DRIVER):
        raise InvalidInput("the database URL is not postgresql://user@host:port/database: set WEIR_DATABASE_URL")
    settings = {
        "statement_timeout": STATEMENT_SECONDS * 1000,
        "lock_timeout": LOCK_SECONDS * 1000,
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_SECONDS * 1000,
        "timezone": "UTC",
        "jit": "off",  # compiling took 0.5 s for statements that run in milliseconds
        # A host that vanishes says no goodbye: without these its locks would be held for hours.
        "tcp_keepalives_idle": 20,
        "tcp_keepalives_interval": 5,
        "tcp_keepalives_count": 4,
    }
    given = parsed.query.get("options", "")
    options = " ".join([f"-c {name}={value}" for name, value in settings.items()] + [str(given)])
    arguments = {
        "application_name": application_name,
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": STATEMENT_SECONDS * 1000,  # ms of silence until a sent byte counts as lost
        "options": options.strip(),  # after the URL's own, which win: Postgres takes the last
    }
    return sa.create_engine(
        parsed.set(drivername=DRIVER).difference_update_query(["options"]),
        connect_args=arguments,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_SECONDS,
        json_serializer=_json,
        pool_pre_ping=True,  # a restart of the server costs nobody a failed transaction
    )


def _json(value: object) -> str:
    """A value for a JSON column; NaN and infinities, which JSON cannot hold, become null."""
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: object) -> object:
    """A figure of numpy as Python's own."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


@contextmanager
def session(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection of the pool, for several transactions in a row; begin and end them with ``connection.begin()``.

    Raises Unavailable when the database does not answer, or refuses for now; whether a COMMIT that failed so took
    effect is then not known.
    """
    with reported(engine), engine.connect() as connection:
        yield connection


@contextmanager
def transaction(engine: sa.Engine, isolation: Literal["REPEATABLE READ"] | None = None) -> Iterator[sa.Connection]:
    """One transaction in a `session`: committed at the end, rolled back by any exception."""
    with session(engine) as connection:
        if isolation is not None:
            connection.execution_options(isolation_level=isolation)
        with connection.begin():
            yield connection


@contextmanager
def reported(engine: sa.Engine) -> Iterator[None]:
    """Turn the driver's failures into Unavailable: all that trying again later can mend."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(f"no free connection to {place(engine)} within {CONNECT_SECONDS} s: try again") from error
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, errors.UndefinedTable):
            raise Unavailable(f"{place(engine)} lacks tables of Weir: run 'weir migrate'") from error
        # Besides lost connections: locks not had in time, deadlocks, a server that starts, stops or is full.
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
            verb = "does not answer" if cause.sqlstate is None or cause.sqlstate[:2] in _GONE else "is busy"
            raise Unavailable(f"{place(engine)} {verb}: {_first_line(cause)}") from error
        raise


def place(engine: sa.Engine) -> str:
    """Which database, for a person; without user and password."""
    return f"Postgres at {engine.url.host or 'localhost'}:{engine.url.port or 5432}/{engine.url.database or ''}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
