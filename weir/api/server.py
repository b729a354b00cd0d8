"""The socket and the thread of the HTTP interface. Started and closed by the role api."""

import socket
from threading import Event, Thread
from types import TracebackType
from typing import Self

import uvicorn
from starlette.types import ASGIApp

from importance.errors import InvalidInput, Unavailable
from weir.api.protocol import protocol
from weir.settings import is_loopback

_CLOSE_SECONDS = 3  # that requests under way have to end


class ApiServer:
    """Serves ``app`` on a thread of its own until closed. Port 0 takes a free one; ``url`` says which.

    ``closing`` is set before it waits for the requests under way, so that endless answers can end. A client has
    ``header_seconds`` to send the headers of a request.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, closing: Event, header_seconds: float = 10.0) -> None:
        self._closing = closing
        self._socket = _bind(host, port)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=protocol(header_seconds),
                ws="none",
                log_config=None,  # the role's own logs are set up already
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_CLOSE_SECONDS,
            )
        )
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still serves; it ends by itself only when something went wrong, which the log tells."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop listening, and let the requests under way end."""
        self._closing.set()
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _bind(host: str, port: int) -> socket.socket:
    """A socket that listens already, so that nobody who reads ``url`` comes too early."""
    if not is_loopback(host):
        raise InvalidInput(f"WEIR_API_HOST is {host!r}; without tokens it must be a loopback address: use 127.0.0.1")
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise Unavailable(f"the api cannot listen at {host}:{port}: {error.strerror}; set WEIR_API_PORT") from error
    return bound
