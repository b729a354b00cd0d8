"""Check that a broker answers, and with the right protocol, before a client is made.

Kafka's Python clients take half a minute to report that no broker answers, or that a certificate does not fit, and
leave sockets open when they fail.
"""

import socket
import ssl
import struct

from importance.errors import InvalidInput, Unavailable
from stream.connection import KafkaConnection

# The smallest request of the protocol: length, key 18 (ApiVersions), version 0, correlation 0, client "weir".
_API_VERSIONS_REQUEST = struct.pack(">ihhih4s", 14, 18, 0, 0, 4, b"weir")

ANSWER_SECONDS = 5.0  # a healthy broker answers in milliseconds, a busy one in a second or two
_TLS_ALERT = 0x15  # the first byte of what a TLS listener answers to an unencrypted request


def require_broker(connection: KafkaConnection, timeout_seconds: float = ANSWER_SECONDS) -> None:
    """Return when one of the addresses answers a request, over TLS if the connection has it; else raise Unavailable.

    A token that cannot be obtained is reported, too: the clients would retry for long without a cause.
    """
    if connection.tokens is not None:
        connection.tokens.token()
    problem = ""
    context = connection.ssl_context()
    for address in connection.addresses:
        try:
            _ask(_host_and_port(address), context, timeout_seconds)
        except OSError as error:
            problem = problem or _reason(error)
        else:
            return
    raise Unavailable(f"Kafka at {connection} does not answer ({problem}): {_remedy(connection, problem)}")


def _ask(address: tuple[str, int], context: ssl.SSLContext | None, timeout_seconds: float) -> None:
    """Have one request answered. With TLS 1.3 only that shows whether the broker accepts our certificate."""
    with socket.create_connection(address, timeout_seconds) as connection:
        talk = connection if context is None else context.wrap_socket(connection, server_hostname=address[0])
        with talk:
            talk.sendall(_API_VERSIONS_REQUEST)
            answer = talk.recv(4)
            if not answer or answer[0] == _TLS_ALERT:
                raise ConnectionResetError("it closed the connection")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason and "ALERT" in error.reason:
        words = error.reason.lower().replace("_", " ")
        return f"it does not accept our certificate: {words}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    return str(error)


def _remedy(connection: KafkaConnection, problem: str) -> str:
    if "its certificate" in problem:
        return "set WEIR_KAFKA_CA_FILE to the authority that signed it, or renew it"
    if "our certificate" in problem:
        return "set WEIR_KAFKA_CERTIFICATE_FILE and WEIR_KAFKA_KEY_FILE to one that it trusts and that is not expired"
    if "closed the connection" in problem or "no TLS" in problem or "timed out" in problem:
        spoken = connection.security_protocol
        return f"does WEIR_KAFKA_SECURITY_PROTOCOL={spoken} fit WEIR_KAFKA_BOOTSTRAP?"
    return "start it, or set WEIR_KAFKA_BOOTSTRAP"


def _host_and_port(address: str) -> tuple[str, int]:
    """Split an address.

    >>> _host_and_port("kafka-0.kafka:9092")
    ('kafka-0.kafka', 9092)
    """
    host, _, port = address.strip().rpartition(":")
    if not host or not port.isdecimal():
        raise InvalidInput(f"Kafka's address is {address!r}; it must be host:port: set WEIR_KAFKA_BOOTSTRAP")
    return host, int(port)
