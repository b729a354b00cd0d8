"""Whether a server answers in a bounded time."""

import selectors
from time import monotonic

from psycopg.pq.abc import PGconn

ANSWER_SECONDS = 5.0  # a healthy server answers a probe in milliseconds, a busy one in a second or two


def answered(connection: PGconn, seconds: float) -> bool:
    """Return whether an empty statement is answered in time; raise ``psycopg.Error`` on a lost connection."""
    connection.send_query(b"")
    deadline = monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(connection.socket, selectors.EVENT_READ)
        while (left := deadline - monotonic()) > 0:
            if selector.select(left):
                connection.consume_input()
                while not connection.is_busy():
                    if connection.get_result() is None:
                        return True
    return False
