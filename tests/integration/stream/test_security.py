"""Every client over SASL_SSL with SCRAM-SHA-512 and over mutual TLS, and what is said where credentials are wrong."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from importance.errors import Unavailable
from stream import dead_letters, topics
from stream.announcements import Announcement, announce, follow
from stream.connection import KafkaConnection
from stream.datasets.dataset import Record
from stream.datasets.recorded import records_from_topic
from stream.replay import Target, replay
from tests.integration.stream.harness import CLOSED_MS, SHOWN_MS, Store, heartbeat, impression, make_place, running
from tests.integration.stream.secured import PASSWORD, USER, Authority, SecuredKafka
from weir.local.install import Tools


@pytest.fixture(scope="module")
def secured(tools: Tools, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    server = SecuredKafka(tmp_path_factory.mktemp("secured"), tools)
    server.start()
    yield server
    server.stop()


def by_login(server: SecuredKafka) -> KafkaConnection:
    return KafkaConnection(server.sasl, "SASL_SSL", "SCRAM-SHA-512", USER, PASSWORD, ca_file=server.authority.file)


def by_certificate(server: SecuredKafka) -> KafkaConnection:
    ours = server.authority.issue("client")
    return KafkaConnection(server.mutual, "SSL", ca_file=server.authority.file, certificate_file=ours)


@pytest.mark.parametrize("way", [by_login, by_certificate])
async def test_every_client_goes_the_secured_way(way, secured: SecuredKafka, tmp_path: Path) -> None:
    place, store = make_place(secured.bootstrap, tmp_path), Store()
    kafka = way(secured)
    assert topics.end_offsets(kafka, place.topics.interactions) == {0: 0}
    sent = [Record(b"ann", impression(1, SHOWN_MS), SHOWN_MS), Record(b"ann", b"{", SHOWN_MS)]
    target = Target(kafka, place.topics.interactions, "secured")
    assert (await asyncio.to_thread(replay, sent, target, 60.0)).finished
    place.send([heartbeat(CLOSED_MS)])
    async with running(place, store, connection=kafka) as worker:
        await worker.until(lambda: store.decided == 1)
    (letter,) = await asyncio.to_thread(lambda: list(dead_letters.read(kafka, place.topics.dead)))
    assert await asyncio.to_thread(dead_letters.redrive, kafka, [letter]) == 1
    recorded = await asyncio.to_thread(lambda: list(records_from_topic(kafka, place.topics.interactions)))
    assert [record.value for record in recorded].count(b"{") == 2
    entry = Announcement(1, "v1", None, "test", "secured", datetime(2026, 11, 23, tzinfo=UTC), "ab" * 32)
    await asyncio.to_thread(announce, kafka, place.topics.models, entry)
    following = follow(kafka, place.topics.models)
    assert await asyncio.wait_for(anext(following), 60) == entry
    await following.aclose()


def test_wrong_credentials_are_one_line_each_and_soon(secured: SecuredKafka, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    login, mutual = by_login(secured), by_certificate(secured)
    expired = secured.authority.issue("expired", days=-10)
    wrong = {
        "WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD": replace(login, password="wrong"),
        "set WEIR_KAFKA_CA_FILE": replace(login, ca_file=stranger.file),
        "our certificate.*not expired": replace(mutual, certificate_file=expired),
        "our certificate.*set WEIR_KAFKA_CERTIFICATE_FILE": replace(mutual, certificate_file=None),
        "WEIR_KAFKA_SECURITY_PROTOCOL=PLAINTEXT fit": KafkaConnection(secured.mutual),
        "WEIR_KAFKA_SECURITY_PROTOCOL=SSL fit": replace(mutual, bootstrap=secured.bootstrap),
    }
    for line, connection in wrong.items():
        begun = time.monotonic()
        with pytest.raises(Unavailable, match=line) as caught:
            topics.check(connection, ())
        assert "\n" not in str(caught.value)
        assert "wrong" not in str(caught.value)
        assert time.monotonic() - begun < 20  # a client's own patience is 30 s and more
