"""A real HTTP server on loopback that serves one file, and fails as told: once per entry of its plan."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class FileServer(ThreadingHTTPServer):
    """``plan``, from the front, one entry a request: a status to answer, ``cut`` to send half of what is asked for.

    With ``ranges=False`` every answer is the whole file. ``asked`` keeps the Range headers.
    """

    def __init__(self, content: bytes, plan: tuple[int | str, ...] = (), ranges: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.plan, self.ranges = content, list(plan), ranges
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/online+retail.zip"


class Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        self.server.asked.append(self.headers["Range"])
        trouble = self.server.plan.pop(0) if self.server.plan else None
        if isinstance(trouble, int):
            self.send_error(trouble)
            return
        begin = re.match(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(begin[1]) if begin and self.server.ranges else 0
        if start and start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if trouble == "cut" else body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@contextmanager
def serving(content: bytes, *plan: int | str, ranges: bool = True) -> Iterator[FileServer]:
    with FileServer(content, plan, ranges) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
