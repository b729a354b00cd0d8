"""What the client libraries are given to ask for a token."""

import pytest
from aiokafka.errors import KafkaError

from importance.errors import Unavailable
from stream.clients import faust_options
from stream.connecting import require_broker
from stream.connection import KafkaConnection, TokenSource

NO_TOKEN = KafkaConnection("127.0.0.1:1", "SASL_PLAINTEXT", "OAUTHBEARER", tokens=TokenSource(command="false"))


async def test_a_token_that_cannot_be_had_is_an_error_that_aiokafka_survives() -> None:
    """It ends its sender, fetcher and coordinator for good at any error but its own."""
    provider = faust_options(NO_TOKEN)["broker_credentials"].oauth_cb
    with pytest.raises(KafkaError, match="WEIR_KAFKA_TOKEN_COMMAND ended with status 1"):
        await provider.token()


def test_a_token_that_cannot_be_had_is_reported_before_a_client_is_made() -> None:
    with pytest.raises(Unavailable, match=r"^WEIR_KAFKA_TOKEN_COMMAND ended with status 1"):
        require_broker(NO_TOKEN)
