"""Connections to Postgres, and the translation of its failures into errors of Weir.

Independent of the stored data. Every other module of this package uses the database inside a `transaction`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec
import numpy as np
import psycopg
import sqlalchemy as sa
from psycopg import errors
from psycopg.conninfo import make_conninfo
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from importance.errors import InvalidInput, Unavailable
from storage.address import FORM, problem, recipe
from storage.pooler import Connection, PoolerCheck

Engine = sa.Engine  # for those who only hand it on

DRIVER = "postgresql+psycopg"

# Enough for a transaction that is healthy; what takes longer is ended, reported as Unavailable, and tried again.
CONNECT_SECONDS = 5
STATEMENT_SECONDS = 60
LOCK_SECONDS = 10
IDLE_IN_TRANSACTION_SECONDS = 60

_SETTINGS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    "timezone": "UTC",
    "jit": "off",  # compiling took 0.5 s for statements that run in milliseconds
    # A host that vanishes closes no connection: without these its locks would be held for hours.
    "tcp_keepalives_idle": "20",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "4",
}
# Set in the session, because a pooler takes no start parameters.
_SET = "SELECT count(set_config(name, value, false)) FROM unnest(%s::text[], %s::text[]) AS ours (name, value)"
_OPTION = re.compile(r"(?:-c\s*|--)([\w.-]+)\s*=")
_GONE = ("08", "57")  # classes of SQLSTATE: connection exceptions, and a server that stops or starts


def create_engine(url: str, *, application_name: str = "weir", pool_size: int = 5) -> sa.Engine:
    """Return an engine for ``postgresql://user:password@host:port/database``; connects to nothing yet."""
    parsed = _parsed(url)
    arguments = {
        "application_name": application_name,
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": STATEMENT_SECONDS * 1000,  # ms of silence until a sent byte counts as lost
    }
    engine = sa.create_engine(
        parsed.set(drivername=DRIVER),
        connect_args=arguments,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_timeout=CONNECT_SECONDS,
        json_serializer=_json,
        hide_parameters=True,  # errors are logged, and parameters name subjects
        pool_pre_ping=True,  # a restart of the server fails no transaction
    )
    given = {name.replace("-", "_").lower() for name in _OPTION.findall(str(parsed.query.get("options", "")))}
    ours = {name: value for name, value in _SETTINGS.items() if name not in given}  # those of the URL win
    words, named = engine.dialect.create_connect_args(engine.url)
    check = PoolerCheck(lambda: psycopg.connect(*words, **{**named, **arguments}), address_of(engine))

    def opened(connection: Connection, _record: object) -> None:
        try:
            check(connection)
            with connection.transaction():
                connection.execute(_SET, [[*ours], [*ours.values()]])
        except BaseException:
            connection.close()
            raise

    sa.event.listen(engine, "connect", opened)
    return engine


def _parsed(url: str) -> sa.URL:
    """Return the URL, if the driver can take it; an error repeats nothing of it but the name of an option."""
    if what := problem(url):
        raise InvalidInput(f"WEIR_DATABASE_URL {what}")
    try:
        parsed = sa.make_url(url)
        make_conninfo(**dict.fromkeys(parsed.query, ""))
    except ArgumentError:
        raise InvalidInput(f"WEIR_DATABASE_URL cannot be read: write {FORM}") from None
    except psycopg.ProgrammingError as error:
        raise InvalidInput(f"WEIR_DATABASE_URL has an {_first_line(error)}: leave it out") from None
    return parsed


def _json(value: object) -> str:
    """Return a value for a JSON column; NaN and infinities, which JSON cannot hold, become null."""
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: object) -> object:
    """Return a scalar of numpy as a Python number."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


@contextmanager
def session(engine: sa.Engine) -> Iterator[sa.Connection]:
    """Yield a connection of the pool, for several transactions; start and end them with ``connection.begin()``.

    Raises Unavailable when the database does not answer, or refuses for now; whether a COMMIT that failed so took
    effect is then not known.
    """
    with reported(engine), engine.connect() as connection:
        yield connection


@contextmanager
def transaction(engine: sa.Engine, isolation: Literal["REPEATABLE READ"] | None = None) -> Iterator[sa.Connection]:
    """Run one transaction in a `session`: committed at the end, rolled back by any exception."""
    with session(engine) as connection:
        if isolation is not None:
            connection.execution_options(isolation_level=isolation)
        with connection.begin():
            yield connection


@contextmanager
def reported(engine: sa.Engine) -> Iterator[None]:
    """Convert the driver's failures that a later retry can fix into Unavailable."""
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable(
            f"no free connection to {address_of(engine)} within {CONNECT_SECONDS} s: try again"
        ) from error
    except (DBAPIError, psycopg.Error) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if isinstance(cause, errors.UndefinedTable):
            raise Unavailable(f"{address_of(engine)} lacks tables of Weir: run 'weir migrate'") from error
        if isinstance(cause, errors.InsufficientPrivilege):
            raise Unavailable(
                f"{address_of(engine)} denies a right: {_first_line(cause)}; let the database belong to Weir's role: "
                "ALTER DATABASE ... OWNER TO ...;"
            ) from error
        # Besides lost connections: locks not had in time, deadlocks, a server that starts, stops or is full.
        lost = psycopg.OperationalError | psycopg.InterfaceError | errors.IdleInTransactionSessionTimeout
        if isinstance(cause, lost):
            line = _first_line(cause)
            if remedy := recipe(line, engine.url.username, engine.url.database):
                raise Unavailable(f"{address_of(engine)} refuses: {line}; {remedy}") from error
            verb = "does not answer" if cause.sqlstate is None or cause.sqlstate[:2] in _GONE else "is busy"
            raise Unavailable(f"{address_of(engine)} {verb}: {line}") from error
        raise


def address_of(engine: sa.Engine) -> str:
    """Return the database's address for messages; without user and password."""
    return f"Postgres at {engine.url.host or 'localhost'}:{engine.url.port or 5432}/{engine.url.database or ''}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
