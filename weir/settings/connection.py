"""The Kafka connection of the settings: the one value that every client is created from."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream.connection import KafkaConnection
    from weir.settings import Settings


def kafka_connection(settings: "Settings") -> "KafkaConnection":
    """Return address and credentials; raise InvalidInput when the password's file cannot be read."""
    from stream.connection import KafkaConnection, TokenSource

    tokens = None
    if settings.kafka_sasl_mechanism == "OAUTHBEARER":
        tokens = TokenSource(settings.kafka_token_command, settings.kafka_token_file)
    return KafkaConnection(
        bootstrap=settings.kafka_bootstrap,
        security_protocol=settings.kafka_security_protocol,
        mechanism=settings.kafka_sasl_mechanism,
        username=settings.kafka_username,
        password=settings.kafka_login_password,
        tokens=tokens,
        ca_file=settings.kafka_ca_file,
        certificate_file=settings.kafka_certificate_file,
        key_file=settings.kafka_key_file,
    )
