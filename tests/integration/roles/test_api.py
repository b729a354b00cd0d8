"""The role api off loopback, as a process: it starts with a live token only, and shows no token anywhere."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from importance.errors import InvalidInput
from storage.audit import Author, Via
from storage.engine import Engine, create_engine
from storage.migrate import upgrade
from storage.tokens import Role, Tokens
from tests.conftest import TestPostgres
from tests.support.role import page, running
from tests.support.waiting import until
from weir.roles.api import run
from weir.settings import read

ANN = Author("ann", Via.CLI)


@pytest.fixture
def environment(postgres: TestPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Settings of an api at all addresses, without a Kafka that answers and without a model."""
    ours = {
        "WEIR_DATABASE_URL": postgres.database(),
        "WEIR_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "WEIR_HOME": str(tmp_path),
        "WEIR_API_HOST": "0.0.0.0",  # what is tested
        "WEIR_API_PORT": "0",
        "WEIR_API_PLAINTEXT": "on",
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return {**os.environ, **ours}


@pytest.fixture
def engine(environment: Mapping[str, str]) -> Iterator[Engine]:
    engine = create_engine(environment["WEIR_DATABASE_URL"])
    upgrade(engine)
    yield engine
    engine.dispose()


def test_off_loopback_it_does_not_start_without_a_live_token(engine: Engine) -> None:
    tokens = Tokens(engine)
    tokens.create("gone", Role.OPERATOR, None, ANN)
    tokens.revoke("gone", ANN)
    with pytest.raises(InvalidInput, match=r"no live token: create one first, weir tokens create NAME --role operator"):
        run(read())


def test_off_loopback_it_is_closed_without_a_token_and_stays_so_when_the_last_is_revoked(
    engine: Engine, environment: Mapping[str, str], tmp_path: Path
) -> None:
    tokens = Tokens(engine)
    created = subprocess.run(
        [sys.executable, "-m", "weir", "tokens", "create", "ci", "--role", "operator", "--quiet"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert created.stderr == ""
    secret = created.stdout.removesuffix("\n")
    with running("api", tmp_path, environment) as role:
        until("served", lambda: page(role) is not None, state=lambda: role.log_tail(5))
        url = f"http://127.0.0.1:{urlsplit(page(role) or '').port}"

        def status(secret: str | None) -> int:
            header = {} if secret is None else {"Authorization": f"Bearer {secret}"}
            return httpx.get(f"{url}/v1/audit", headers=header, timeout=60).status_code

        assert [status(given) for given in (None, "weir_wrong", secret)] == [401, 401, 200]
        assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
        reasons = set(httpx.get(f"{url}/readyz", timeout=60).json()["reasons"])
        assert {"model"} <= reasons <= {"model", "kafka", "storage"}
        shown = subprocess.run(["ps", "axeww"], capture_output=True, text=True, check=True).stdout
        assert secret not in shown
        tokens.revoke("ci", ANN)
        until("closed", lambda: status(secret) == HTTPStatus.UNAUTHORIZED)
        assert status(None) == HTTPStatus.UNAUTHORIZED
        assert role.alive
    assert secret not in (tmp_path / "api.log").read_text()
