"""Ports: what is free, and what answers."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from importance.errors import InvalidInput
from weir.local.ports import LOOPBACK, answers, free_port, refuse_taken


class Page(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def test_a_page_answers_while_it_is_served_and_its_port_is_taken() -> None:
    with ThreadingHTTPServer((LOOPBACK, 0), Page) as server:
        port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        assert answers(f"http://{LOOPBACK}:{port}/")
        with pytest.raises(InvalidInput, match=f"WEIR_API_PORT is {port}, and .* choose another one"):
            refuse_taken(LOOPBACK, port, "WEIR_API_PORT")
        server.shutdown()
    assert not answers(f"http://{LOOPBACK}:{port}/")
    refuse_taken(LOOPBACK, port, "WEIR_API_PORT")


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    with pytest.raises(InvalidInput, match="cannot be listened on"):
        refuse_taken("192.0.2.1", free_port(), "WEIR_API_PORT")
