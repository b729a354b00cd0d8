"""Kafka: security, topics, and the form of the messages."""

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from importance.errors import InvalidInput
from importance.fields import Fields
from weir.settings.sections.addresses import Addresses
from weir.settings.sections.base import AbsolutePath, variable

TopicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")]


def _fields(text: str) -> str:
    try:
        Fields.parse(text)
    except InvalidInput as error:
        raise ValueError(str(error)) from error
    return text


FieldsText = Annotated[str, AfterValidator(_fields)]


class Kafka(Addresses):
    """Security, topics and messages; extends the addresses, as credentials belong to one of them."""

    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="how WEIR_KAFKA_BOOTSTRAP is spoken to: with TLS (SSL), with a login (SASL)"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = Field(
        default=None, description="how the login is made; needed by the two SASL protocols"
    )
    kafka_username: str = Field(default="", description="user of the login, for PLAIN and SCRAM")
    kafka_password: str = Field(
        default="",
        repr=False,
        json_schema_extra={"secret": "whole"},
        description="password of that user; or give WEIR_KAFKA_PASSWORD_FILE",
    )
    kafka_password_file: AbsolutePath | None = Field(
        default=None, description="file that holds the password; read at each start"
    )
    kafka_token_command: str = Field(
        default="",
        repr=False,
        json_schema_extra={"secret": "whole"},
        description="command that prints a token for OAUTHBEARER; run without a shell at each connection",
    )
    kafka_token_file: AbsolutePath | None = Field(
        default=None, description="file that holds a token for OAUTHBEARER; read at each connection"
    )
    kafka_ca_file: AbsolutePath | None = Field(
        default=None, description="PEM file of the authorities that sign the brokers' certificates; empty: the system's"
    )
    kafka_certificate_file: AbsolutePath | None = Field(
        default=None, description="PEM file of our own certificate, for mutual TLS"
    )
    kafka_key_file: AbsolutePath | None = Field(
        default=None, description="PEM file of its unencrypted key; empty: the key is in the certificate's file"
    )
    partitions: int = Field(
        default=4,
        ge=1,
        le=10_000,
        description="partitions of a topic when it is made; an existing topic is never altered",
    )
    topic_prefix: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="put before the name of every topic that no setting names: up to 100 of A-Z a-z 0-9 . _ -",
    )
    topic_interactions: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "interactions",
        description="topic that is read; default: prefix and interactions",
    )
    topic_dead: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "interactions.dead",
        description="topic of dead letters; default: prefix and interactions.dead",
    )
    topic_importance: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "importance",
        description="topic of scored samples; default: prefix and importance",
    )
    topic_models: TopicName = Field(
        default_factory=lambda known: known["topic_prefix"] + "models",
        description="topic of promotions; default: prefix and models",
    )
    replication: int = Field(default=1, ge=1, le=9, description="replicas of a topic when it is made")
    consumer_group: str = Field(
        default="weir",
        pattern=r"^[A-Za-z0-9._-]{1,200}$",
        description="consumer group of the workers: up to 200 of A-Z a-z 0-9 . _ -",
    )
    importance_payload: Literal["on", "off"] = Field(
        default="on", description="whether records of the topic importance carry query, text and attributes"
    )

    fields: FieldsText = Field(
        default="",
        max_length=10_000,
        description="where messages of another form keep an event's fields, e.g. id=event_id, subject=user.id",
    )

    @cached_property  # a file that is removed or replaced later must not end a running process
    def kafka_login_password(self) -> str:
        """Return the password, or the content of its file without the line end; raise InvalidInput if unreadable."""
        file = self.kafka_password_file
        if file is None:
            return self.kafka_password
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(f"WEIR_KAFKA_PASSWORD_FILE {file} cannot be read: {error}") from error

    def _disagreements(self) -> Iterator[str]:
        yield from super()._disagreements()
        yield from _access(self)
        yield from _topic_names(self)


def _topic_names(kafka: Kafka) -> Iterator[str]:
    """Yield names that Kafka refuses or confuses: its metrics do not distinguish ``.`` from ``_``."""
    seen: dict[str, str] = {}
    for field in ("topic_interactions", "topic_dead", "topic_importance", "topic_models"):
        name = str(getattr(kafka, field))
        if name in (".", ".."):
            yield f"{variable(field)} is {name!r}, which Kafka refuses: choose another name"
        if (other := seen.setdefault(name.replace(".", "_"), field)) != field:
            same = f"like {variable(other)}, {getattr(kafka, other)!r}"
            yield f"{variable(field)} is {name!r}, {same}: each topic needs a name of its own, and . counts as _"


def _access(kafka: Kafka) -> Iterator[str]:
    """Yield credentials that are incomplete, unused or unreadable."""
    protocol, mechanism = kafka.kafka_security_protocol, kafka.kafka_sasl_mechanism
    if protocol != "PLAINTEXT" and not kafka.kafka_bootstrap:
        yield f"WEIR_KAFKA_SECURITY_PROTOCOL is {protocol}, but WEIR_KAFKA_BOOTSTRAP is not set: set it, or unset both"
    if protocol.startswith("SASL"):
        yield from _login(kafka)
    else:
        yield from _unused(kafka, "sasl_mechanism username password password_file token_command token_file", "SASL")
    if not protocol.endswith("SSL"):
        yield from _unused(kafka, "ca_file certificate_file key_file", "SSL")
    if kafka.kafka_key_file and not kafka.kafka_certificate_file:
        yield "WEIR_KAFKA_KEY_FILE is set, but WEIR_KAFKA_CERTIFICATE_FILE is not: set both"
    if mechanism == "OAUTHBEARER":
        yield from _unused(kafka, "username password password_file", "a mechanism with a password")
    for name in ("password_file", "token_file", "ca_file", "certificate_file", "key_file"):
        file: Path | None = getattr(kafka, f"kafka_{name}")
        if file is not None and not (file.is_file() and os.access(file, os.R_OK)):
            yield f"{variable(f'kafka_{name}')} is {file}; it must be a file that can be read"


def _login(kafka: Kafka) -> Iterator[str]:
    mechanism = kafka.kafka_sasl_mechanism
    protocol = f"WEIR_KAFKA_SECURITY_PROTOCOL={kafka.kafka_security_protocol}"
    if mechanism is None:
        yield f"{protocol} needs WEIR_KAFKA_SASL_MECHANISM: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"
    elif mechanism == "OAUTHBEARER":
        if bool(kafka.kafka_token_command) == (kafka.kafka_token_file is not None):
            yield "OAUTHBEARER needs exactly one of WEIR_KAFKA_TOKEN_COMMAND and WEIR_KAFKA_TOKEN_FILE"
    else:
        if not kafka.kafka_username:
            yield f"WEIR_KAFKA_SASL_MECHANISM={mechanism} needs WEIR_KAFKA_USERNAME"
        if bool(kafka.kafka_password) == (kafka.kafka_password_file is not None):
            yield f"{mechanism} needs exactly one of WEIR_KAFKA_PASSWORD and WEIR_KAFKA_PASSWORD_FILE"
        yield from _unused(kafka, "token_command token_file", "OAUTHBEARER")


def _unused(kafka: Kafka, names: str, needed: str) -> Iterator[str]:
    """Yield credentials that the protocol does not use: most likely another setting was forgotten."""
    for name in names.split():
        if getattr(kafka, f"kafka_{name}"):
            yield f"{variable(f'kafka_{name}')} is set, and nothing uses it: it belongs to {needed}"
