"""The address of the API."""

import pytest

from tests.support.settings import refusal
from weir.settings import read


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_API_PORT", "65536", "at most 65535"),
        ("WEIR_API_HOST", "0.0.0.0", "WEIR_API_PLAINTEXT=on behind a proxy that ends TLS"),
        ("WEIR_API_TLS_CERTIFICATE", "/c.pem", "set both"),
        ("WEIR_API_TLS_KEY", "/k.pem", "set both"),
        ("WEIR_API_AUTH_FAILURES", "0", "at least 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text


def test_off_loopback_it_takes_tls_or_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_API_HOST", "0.0.0.0")
    monkeypatch.setenv("WEIR_API_PLAINTEXT", "on")
    assert read().api_is_exposed
    monkeypatch.delenv("WEIR_API_PLAINTEXT")
    monkeypatch.setenv("WEIR_API_TLS_CERTIFICATE", "/c.pem")
    monkeypatch.setenv("WEIR_API_TLS_KEY", "/k.pem")
    assert read().api_is_exposed
