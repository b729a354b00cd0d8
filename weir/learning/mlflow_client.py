"""The client of an MLflow server or database, which waits seconds rather than minutes, and whose failures are ours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from importance.errors import InvalidInput, Unavailable
from weir.process.masking import masked_url

_DEFAULTS: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # it reports its use to its vendor otherwise
    "MLFLOW_CONFIGURE_LOGGING": "false",  # its lines go through our log, which masks secrets
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # whoever mirrors tries again; its seven retries take minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds without an answer
}
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # those that MLflow takes


def new_client(uri: str) -> Any:
    """Return an `MlflowClient` of a tracking and registry URI; that of a database makes its tables.

    Raises Unavailable when a database does not answer, InvalidInput when the package is not installed.
    """
    _prepare()
    from mlflow import MlflowClient

    with reported(uri):
        return MlflowClient(uri, uri)


@contextmanager
def reported(uri: str) -> Iterator[None]:
    """Convert what MLflow, its HTTP client or its database raises into Unavailable, without the secrets of the URI."""
    try:
        yield
    except Exception as error:
        reason = masked_url(str(error).partition("\n")[0])
        raise Unavailable(f"MLflow at {masked_url(uri)}: {reason or type(error).__name__}") from error


def has_model(uri: str, model: str) -> bool:
    """Return whether a registered model is there; makes nothing, not even the tables of a database.

    Raises Unavailable when MLflow does not answer, InvalidInput when the package is not installed.
    """
    _prepare()
    with reported(uri):
        if uri.startswith(_DATABASES) and not _has_tables(uri):
            return False
    client = new_client(uri)
    with reported(uri):
        return bool(client.search_registered_models(f"name='{model}'"))


def _prepare() -> None:
    if find_spec("mlflow") is None:
        raise InvalidInput(
            "WEIR_MLFLOW_URI is set, but the package mlflow is not installed: pip install 'weirstream[mlflow]'"
        )
    for variable in _DEFAULTS.items():
        os.environ.setdefault(*variable)


def _has_tables(uri: str) -> bool:
    from mlflow.store.db.utils import create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]  # MLflow leaves it untyped
    try:
        file = engine.url.database
        if engine.dialect.name == "sqlite" and not (file and Path(file).exists()):  # connecting would create it
            return False
        with engine.connect() as connection:
            return bool(engine.dialect.has_table(connection, "registered_models"))
    finally:
        engine.dispose()
