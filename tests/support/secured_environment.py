"""The settings of a process that reaches a secured Kafka, and nothing from outside."""

import os
from pathlib import Path

from stream.connection import KafkaConnection
from weir import settings

ROOT = Path(__file__).parents[2]


def environment(connection: KafkaConnection, home: Path, **others: object) -> dict[str, str]:
    """An environment with the connection and ``others``, each without its ``WEIR_``."""
    values: dict[str, object] = {
        "HOME": home,
        "KAFKA_BOOTSTRAP": connection.bootstrap,
        "KAFKA_SECURITY_PROTOCOL": connection.security_protocol,
        "KAFKA_SASL_MECHANISM": connection.mechanism,
        "KAFKA_USERNAME": connection.username,
        "KAFKA_PASSWORD": connection.password,
        "KAFKA_TOKEN_COMMAND": connection.tokens.command if connection.tokens else "",
        "KAFKA_CA_FILE": connection.ca_file,
        "KAFKA_CERTIFICATE_FILE": connection.certificate_file,
    }
    outer = {name: value for name, value in os.environ.items() if name not in settings.VARIABLES}
    given = {f"WEIR_{name}": str(value) for name, value in (values | others).items() if value not in (None, "")}
    return outer | {"PYTHONPATH": str(ROOT)} | given
