"""The socket and the thread of the HTTP interface. Started and closed by the role api."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event

import uvicorn
from starlette.types import ASGIApp

from importance.errors import Unavailable
from weir.api.certificate import Certificate
from weir.api.limits import Limits
from weir.api.protocol import protocol
from weir.process.background import Background

_CLOSE_SECONDS = 3  # for requests under way to end


@dataclass(frozen=True)
class ApiServer:
    """A server that runs: where it is reached, and the thread it runs on."""

    url: str
    thread: Background

    @property
    def alive(self) -> bool:
        """Whether it still serves; it ends by itself only after an error, which is logged."""
        return self.thread.alive


@contextmanager
def serve(
    app: ASGIApp,
    host: str,
    port: int,
    closing: Event,
    header_seconds: float = Limits.header_seconds,
    certificate: Certificate | None = None,
) -> Iterator[ApiServer]:
    """Serve ``app`` on a thread of its own for the length of a block. Port 0 takes a free one; ``url`` has it.

    At the end of the block ``closing`` is set, so that endless responses end, and requests under way have
    3 seconds to. A client has ``header_seconds`` to send the headers of a request. With ``certificate`` only TLS is
    spoken. Raises Unavailable where the port is taken.
    """
    with _listening(host, port) as bound:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=protocol(header_seconds),
                ws="none",
                log_config=None,  # the role's own logs are set up already
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,  # any client could set them, and count as another address
                ssl_context_factory=None if certificate is None else lambda _config, _default: certificate.context,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )

        def stop() -> None:
            closing.set()
            server.should_exit = True

        with Background("api", partial(server.run, sockets=[bound]), stop) as thread:
            scheme = "http" if certificate is None else "https"
            yield ApiServer(f"{scheme}://{f'[{host}]' if ':' in host else host}:{bound.getsockname()[1]}", thread)


def _listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens already, so that the first request to ``url`` is not too early."""
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise Unavailable(f"the api cannot listen at {host}:{port}: {error.strerror}; set WEIR_API_PORT") from error
    return bound
