"""The HTTP interface: where it listens, and how much it takes at once."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Literal

from pydantic import Field

from weir.api.limits import MAX_BODY_BYTES, MAX_ITEMS
from weir.settings.sections.base import AbsolutePath, Port, Seconds, Section


class Api(Section):
    """Address and limits of the role api."""

    api_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="where the role api listens; off loopback it needs a token, and TLS or a proxy that ends it",
    )
    api_port: Port = Field(default=8787, description="port of the role api; 0 takes a free one")
    api_allowed_hosts: str = Field(
        default="",
        max_length=10_000,
        pattern=r"^$|^[^\s,/:]+(,[^\s,/:]+)*$",
        description="host names that requests may use in addition to loopback, with commas; "
        "empty: loopback only, and off loopback any",
    )
    api_tls_certificate: AbsolutePath | None = Field(
        default=None, description="PEM file of the api's certificate and its chain; read again when it changes"
    )
    api_tls_key: AbsolutePath | None = Field(default=None, description="PEM file of its unencrypted key")
    api_plaintext: Literal["on", "off"] = Field(
        default="off", description="on: also off loopback without TLS, behind a proxy that ends it"
    )
    api_auth_failures: int = Field(
        default=10,
        ge=1,
        le=1_000,
        description="authentications of a client address that may fail in a minute; what is more is answered 429",
    )
    api_origins: str = Field(
        default="",
        max_length=10_000,
        pattern=r"^$|^https?://[^\s,/]+(,https?://[^\s,/]+)*$",
        description="origins of pages that may ask beside the interface's own, with commas: http://localhost:3000",
    )
    api_bodies_bytes: int = Field(
        default=4 * MAX_BODY_BYTES,
        ge=MAX_BODY_BYTES,
        le=2**40,
        description="bytes of large request bodies that are held at once; what is more is answered 429",
    )
    api_scorings: int = Field(
        default=8,
        ge=1,
        le=32,
        description="requests to /v1/score that are scored at once; what is more is answered 429",
    )
    api_header_seconds: Seconds = Field(
        default=10.0, gt=0, description="time a client has to send the headers of a request, then 408"
    )
    api_body_seconds: Seconds = Field(
        default=30.0, gt=0, description="time a client has to send the body of a request, then 408"
    )

    rank_queue_items: int = Field(
        default=20_000,
        ge=MAX_ITEMS,
        le=10_000_000,
        description="items of rankings that wait or are predicted at once; what is more is answered 429",
    )
    rank_deadline_seconds: Seconds = Field(
        default=30.0, gt=0, description="time a ranking may wait before it is predicted, then 503"
    )
    rank_cache_bytes: int = Field(
        default=64 * 1024 * 1024,
        ge=0,
        le=2**40,
        description="memory for tokens and predictions of the active version, "
        "and as much again for the candidate of a canary; 0 keeps nothing",
    )

    @property
    def api_is_exposed(self) -> bool:
        """Whether other machines can reach the role api."""
        return not is_loopback(self.api_host)

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        has_certificate, has_key = self.api_tls_certificate is not None, self.api_tls_key is not None
        if has_certificate != has_key:
            given, other = ("CERTIFICATE", "KEY") if has_certificate else ("KEY", "CERTIFICATE")
            yield f"WEIR_API_TLS_{given} is set, but WEIR_API_TLS_{other} is not: set both"
        elif self.api_is_exposed and not has_certificate and self.api_plaintext == "off":
            yield (
                f"WEIR_API_HOST is {self.api_host!r}, where tokens could be read on their way: set "
                "WEIR_API_TLS_CERTIFICATE and WEIR_API_TLS_KEY, or WEIR_API_PLAINTEXT=on behind a proxy that ends TLS"
            )


def is_loopback(host: str) -> bool:
    """Return whether a host name or address reaches this machine only.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "db.example")]
    [True, True, True, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
