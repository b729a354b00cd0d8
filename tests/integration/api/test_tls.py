"""TLS by certificate files: spoken alone, verified by a client, and renewed without a restart."""

import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography import x509

from importance.errors import InvalidInput
from storage.tokens import Role
from tests.support.secured import Authority
from weir.api.certificate import Certificate
from weir.local.ports import answers

from .conftest import World


@dataclass
class Secured:
    """An interface that speaks TLS, and what signed its certificate."""

    world: World
    authority: Authority
    file: Path
    certificate: Certificate

    def client(self) -> httpx.Client:
        trusted = ssl.create_default_context(cafile=str(self.authority.file))
        return httpx.Client(base_url=self.world.server.url, verify=trusted, timeout=30)

    def shown(self) -> str:
        """The name in the certificate that a client is shown."""
        found = urlsplit(self.world.server.url)
        assert found.hostname is not None
        assert found.port is not None
        text = ssl.get_server_certificate((found.hostname, found.port))
        return x509.load_pem_x509_certificate(text.encode()).subject.rfc4514_string()


@pytest.fixture
def secured(postgres: Any, tmp_path: Path) -> Iterator[Secured]:
    authority = Authority(tmp_path, "authority")
    file = tmp_path / "used.pem"
    shutil.copy(authority.issue("first"), file)
    certificate = Certificate(file, file)
    world = World(postgres.database(), certificate=certificate, exposed=True)
    yield Secured(world, authority, file, certificate)
    world.close()


def test_a_client_that_trusts_the_authority_is_served_with_its_token(secured: Secured) -> None:
    header = secured.world.token("ci", Role.VIEWER)
    with secured.client() as client:
        assert secured.world.server.url.startswith("https://")
        assert client.get("/v1/models", headers=header).status_code == 200
        assert client.get("/v1/models").status_code == 401
    assert answers(f"{secured.world.server.url}/healthz", timeout_seconds=30)


def test_neither_a_client_that_trusts_another_authority_nor_one_without_tls_is_served(
    secured: Secured, tmp_path: Path
) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(f"{secured.world.server.url}/healthz", timeout=30)
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(secured.world.server.url.replace("https", "http"), timeout=30)


def test_a_renewed_certificate_is_used_and_one_that_cannot_be_used_is_not(secured: Secured) -> None:
    assert secured.shown() == "CN=first"
    assert not secured.certificate.refresh()
    shutil.copy(secured.authority.issue("second"), secured.file)
    assert secured.certificate.refresh()
    assert secured.shown() == "CN=second"
    secured.file.write_text("half a file")
    with pytest.raises(InvalidInput, match="cannot be used"):
        secured.certificate.refresh()
    secured.file.unlink()
    with pytest.raises(InvalidInput, match="cannot be read"):
        secured.certificate.refresh()
    assert secured.shown() == "CN=second"
    with secured.client() as client:
        assert client.get("/healthz").status_code == 200


def test_files_that_cannot_be_used_are_named_in_one_line(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "authority")
    one, other = authority.issue("one"), authority.issue("other")
    (tmp_path / "empty.pem").touch()
    for chain, key in ((one, tmp_path / "missing.pem"), (one, other), (tmp_path / "empty.pem", one)):
        with pytest.raises(InvalidInput, match="WEIR_API_TLS_KEY") as caught:
            Certificate(chain, key)
        assert "\n" not in str(caught.value)
