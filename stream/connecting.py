"""Is anybody there? Asked before a client is made.

Kafka's Python clients take half a minute to say that nobody answers, and leave sockets behind when they give up.
"""

import socket

from importance.errors import InvalidInput, Unavailable


def require_broker(bootstrap: str, timeout_seconds: float = 5.0) -> None:
    """Return when one of the addresses "host:port[,host:port…]" takes a connection; raise Unavailable otherwise."""
    problem = ""
    for address in bootstrap.split(","):
        try:
            socket.create_connection(_host_and_port(address), timeout_seconds).close()
        except OSError as error:
            problem = problem or str(error)
        else:
            return
    raise Unavailable(f"Kafka at {bootstrap} does not answer ({problem}): start it, or set WEIR_KAFKA_BOOTSTRAP")


def _host_and_port(address: str) -> tuple[str, int]:
    """Split an address.

    >>> _host_and_port("kafka-0.kafka:9092")
    ('kafka-0.kafka', 9092)
    """
    host, _, port = address.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidInput(f"Kafka's address is {address!r}; it must be host:port: set WEIR_KAFKA_BOOTSTRAP")
    return host, int(port)
