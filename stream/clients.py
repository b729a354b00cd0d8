"""Create every Kafka client of Weir from a :class:`KafkaConnection`: the only module with each library's options.

Consumers read committed records only: what a transaction aborted is never seen.
"""

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.abc import AbstractTokenProvider as AsyncTokenProvider
from aiokafka.errors import AuthenticationFailedError, SaslAuthenticationFailed
from aiokafka.errors import KafkaConnectionError as AsyncKafkaConnectionError
from faust.auth import OAuthCredentials, SASLCredentials, SSLCredentials
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.errors import KafkaConnectionError, KafkaTimeoutError, SaslAuthenticationFailedError, UnsupportedCodecError
from kafka.net.sasl.oauth import AbstractTokenProvider

from importance.errors import Unavailable
from stream.codecs import COMMAND_LIBRARY, unreadable
from stream.connection import KafkaConnection, TokenSource

READ_COMMITTED = "read_committed"
_BOOTSTRAP_MS = 10_000  # the libraries would try for half a minute and longer
_READING: dict[str, Any] = {"enable_auto_commit": False, "isolation_level": READ_COMMITTED}


def admin_client(connection: KafkaConnection, **options: Any) -> KafkaAdminClient:
    """Return a kafka-python admin client; raise KafkaError when the cluster does not answer in time."""
    return KafkaAdminClient(**_options(connection, options))


def consumer(connection: KafkaConnection, **options: Any) -> KafkaConsumer:
    """Return a kafka-python consumer without commits; raise KafkaError when the cluster does not answer in time."""
    return KafkaConsumer(**_READING, **_options(connection, options))


def producer(connection: KafkaConnection, **options: Any) -> KafkaProducer:
    """Return a kafka-python producer that waits for every replica; raise KafkaError as above."""
    return KafkaProducer(acks="all", **_options(connection, options))


def async_consumer(connection: KafkaConnection, *topics: str, **options: Any) -> AIOKafkaConsumer:
    """Return an aiokafka consumer that commits nothing; to be started by the caller."""
    return AIOKafkaConsumer(*topics, **_READING, **_async_options(connection), **options)


def async_producer(connection: KafkaConnection, **options: Any) -> AIOKafkaProducer:
    """Return an aiokafka producer that waits for every replica; to be started by the caller."""
    return AIOKafkaProducer(acks="all", **_async_options(connection), **options)


def cause(connection: KafkaConnection, error: Exception) -> str:
    """Return a client's error in words: a refused login names the settings to check, a codec the package that it needs.

    Over TLS kafka-python sees the broker hang up before it has read the refusal: where the broker answered a moment ago
    (`stream.connecting`), a bootstrap that fails has failed at the login.
    """
    is_refused = isinstance(
        error, SaslAuthenticationFailedError | SaslAuthenticationFailed | AuthenticationFailedError
    ) or (isinstance(error, KafkaTimeoutError) and "bootstrap" in str(error))
    if connection.is_authenticated and is_refused:
        secret = "the token" if connection.tokens else "WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD"
        return f"it refuses the login: check {secret} and WEIR_KAFKA_SASL_MECHANISM={connection.mechanism}"
    if isinstance(error, UnsupportedCodecError) and (lines := unreadable(COMMAND_LIBRARY)):
        return "; ".join(lines)
    return f"{type(error).__name__}: {error}"


def faust_options(connection: KafkaConnection) -> dict[str, Any]:
    """Return what a Faust application is given to reach the cluster with its consumer and producer."""
    found: dict[str, Any] = {"broker": [f"kafka://{address}" for address in connection.addresses]}
    context = connection.ssl_context()
    if connection.tokens is not None and connection.is_authenticated:
        found["broker_credentials"] = OAuthCredentials(
            oauth_cb=_AsyncTokens(connection.tokens),
            ssl_context=context,
        )
    elif connection.is_authenticated:
        found["broker_credentials"] = SASLCredentials(
            username=connection.username,
            password=connection.password,
            mechanism=connection.mechanism,
            ssl_context=context,
        )
    elif context is not None:
        found["broker_credentials"] = SSLCredentials(context)
    return found


def _options(connection: KafkaConnection, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options for kafka-python."""
    tokens = connection.tokens
    given: dict[str, Any] = {"sasl_oauth_token_provider": _Tokens(tokens)} if tokens is not None else {}
    return {"bootstrap_timeout_ms": _BOOTSTRAP_MS} | _shared(connection) | given | options


def _async_options(connection: KafkaConnection) -> dict[str, Any]:
    """Return the options for aiokafka."""
    tokens = connection.tokens
    return _shared(connection) | ({"sasl_oauth_token_provider": _AsyncTokens(tokens)} if tokens is not None else {})


def _shared(connection: KafkaConnection) -> dict[str, Any]:
    """Return the options with the same names in both libraries."""
    found: dict[str, Any] = {
        "bootstrap_servers": connection.addresses,
        "security_protocol": connection.security_protocol,
    }
    if connection.is_encrypted:
        found["ssl_context"] = connection.ssl_context()
    if connection.is_authenticated:
        found["sasl_mechanism"] = connection.mechanism
        if connection.tokens is None:
            found["sasl_plain_username"] = connection.username
            found["sasl_plain_password"] = connection.password
    return found


class _Tokens(AbstractTokenProvider):
    """kafka-python's kind of token provider; raises its kind of error, after which it connects again."""

    def __init__(self, source: TokenSource) -> None:
        super().__init__()
        self._source = source

    def token(self) -> str:
        try:
            return self._source.token()
        except Unavailable as error:
            raise KafkaConnectionError(str(error)) from error


class _AsyncTokens(AsyncTokenProvider):
    """aiokafka's kind of token provider; any other error than its own would end its sender and fetcher for good."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def token(self) -> str:
        try:
            return await asyncio.to_thread(self._source.token)
        except Unavailable as error:
            raise AsyncKafkaConnectionError(str(error)) from error
