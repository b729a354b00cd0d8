"""The HTTP interface: where it listens, and how much it takes at once."""

from collections.abc import Iterator
from ipaddress import ip_address

from pydantic import Field

from weir.api.limits import MAX_BODY_BYTES
from weir.settings.sections.base import Port, Seconds, Section


class Api(Section):
    """Address and limits of the role api."""

    api_host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="where the role api listens; loopback only, as there are no tokens yet",
    )
    api_port: Port = Field(default=8787, description="port of the role api; 0 takes a free one")
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
        default=8, ge=1, le=32, description="requests that are scored at once; what is more is answered 429"
    )
    api_header_seconds: Seconds = Field(
        default=10.0, gt=0, description="time a client has to send the headers of a request, then 408"
    )
    api_body_seconds: Seconds = Field(
        default=30.0, gt=0, description="time a client has to send the body of a request, then 408"
    )

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        if not is_loopback(self.api_host):
            yield f"WEIR_API_HOST is {self.api_host!r}; without tokens it must be a loopback address: use 127.0.0.1"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address reaches this machine only.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "db.example")]
    [True, True, True, False, False]
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
