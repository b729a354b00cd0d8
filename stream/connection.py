"""How a Kafka is reached: address, transport security, and who asks. A value; it opens no connection.

`stream.clients` makes every client from it.
"""

import shlex
import ssl
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from importance.errors import InvalidInput, Unavailable

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

TOKEN_SECONDS = 10.0  # what a token command may take: clients ask for a token at each connection


@dataclass(frozen=True)
class TokenSource:
    """Where OAUTHBEARER tokens come from: a command that prints one, or a file that holds one. Read again each time."""

    command: str = ""
    file: Path | None = None

    def token(self) -> str:
        """Return a token of now. Raises :class:`Unavailable` with the cause, and never with the token."""
        token = (self._from_file(self.file) if self.file else self._from_command()).strip()
        if not token or not token.isascii() or not token.isprintable():
            source = self.file or "the command of WEIR_KAFKA_TOKEN_COMMAND"
            raise Unavailable(f"{source} gave no token (one line of printable ASCII): see what it prints")
        return token

    def _from_file(self, file: Path) -> str:
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(f"WEIR_KAFKA_TOKEN_FILE {file} cannot be read: {error}") from error

    def _from_command(self) -> str:
        try:
            done = subprocess.run(
                shlex.split(self.command), capture_output=True, text=True, timeout=TOKEN_SECONDS, check=False
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"WEIR_KAFKA_TOKEN_COMMAND failed: {type(error).__name__}") from error
        if done.returncode:
            raise Unavailable(f"WEIR_KAFKA_TOKEN_COMMAND ended with status {done.returncode}: run it by hand")
        return done.stdout


@dataclass(frozen=True)
class KafkaConnection:
    """One Kafka cluster and our credentials. ``bootstrap`` is "host:port[,host:port…]".

    Without ``ca_file`` the system's certificate authorities are trusted. ``certificate_file`` and ``key_file`` (PEM;
    the key unencrypted) are our own for mutual TLS; the key may lie in the certificate's file.
    """

    bootstrap: str
    security_protocol: SecurityProtocol = "PLAINTEXT"
    mechanism: Mechanism | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    tokens: TokenSource | None = field(default=None, repr=False)
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def __str__(self) -> str:
        return self.bootstrap

    @property
    def addresses(self) -> list[str]:
        """Return each host:port.

        >>> KafkaConnection("kafka-0:9092,kafka-1:9092").addresses
        ['kafka-0:9092', 'kafka-1:9092']
        """
        return self.bootstrap.split(",")

    @property
    def is_encrypted(self) -> bool:
        """Return whether TLS is spoken."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @property
    def is_authenticated(self) -> bool:
        """Return whether SASL is spoken."""
        return self.security_protocol in ("SASL_PLAINTEXT", "SASL_SSL")

    def ssl_context(self) -> ssl.SSLContext | None:
        """Return the TLS context; None without TLS. Raises :class:`InvalidInput` for invalid certificate files."""
        if not self.is_encrypted:
            return None
        context = _trusting(self.ca_file)
        if self.certificate_file is not None:
            try:
                # An encrypted key would have OpenSSL ask on the terminal: an empty password fails instead.
                context.load_cert_chain(self.certificate_file, self.key_file, password="")
            except (OSError, ValueError) as error:
                key = f" with WEIR_KAFKA_KEY_FILE {self.key_file}" if self.key_file else ""
                raise InvalidInput(
                    f"WEIR_KAFKA_CERTIFICATE_FILE {self.certificate_file}{key} cannot be used ({_reason(error)}): "
                    "give a PEM certificate and its unencrypted key"
                ) from error
        return context


def _trusting(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"WEIR_KAFKA_CA_FILE {ca_file} cannot be used ({_reason(error)}): give certificates in PEM"
        ) from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
