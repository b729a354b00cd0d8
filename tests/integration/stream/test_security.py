"""Every client over SASL_SSL (SCRAM-SHA-512, OAUTHBEARER) and mutual TLS, and what wrong credentials lead to."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from importance.errors import Unavailable
from importance.messages import Record
from stream import clients, dead_letters, topics
from stream.announcements import Announcement, announce, follow
from stream.connection import KafkaConnection, TokenSource
from stream.recorded_topic import records_from_topic
from stream.replay import Target, replay
from tests.integration.stream.harness import CLOSED_MS, SHOWN_MS, Store, heartbeat, impression, make_sandbox, running
from tests.support.secured import PASSWORD, USER, Authority, SecuredKafka, unsecured_token
from tests.support.secured_environment import environment
from tests.support.waiting import TIMEOUT_SECONDS


def by_login(server: SecuredKafka) -> KafkaConnection:
    return KafkaConnection(server.sasl, "SASL_SSL", "SCRAM-SHA-512", USER, PASSWORD, ca_file=server.authority.file)


def by_certificate(server: SecuredKafka) -> KafkaConnection:
    ours = server.authority.issue("client")
    return KafkaConnection(server.mutual, "SSL", ca_file=server.authority.file, certificate_file=ours)


def by_token(server: SecuredKafka) -> KafkaConnection:
    file = server.authority.folder / "token"
    file.write_text(f"{unsecured_token()}\n", encoding="utf-8")
    tokens = TokenSource(command=f"cat {file}")
    return KafkaConnection(server.sasl, "SASL_SSL", "OAUTHBEARER", tokens=tokens, ca_file=server.authority.file)


@pytest.mark.parametrize("way", [by_login, by_certificate, by_token])
async def test_every_client_goes_the_secured_way(way, secured: SecuredKafka, tmp_path: Path) -> None:
    sandbox, store = make_sandbox(secured.bootstrap, tmp_path), Store()
    kafka = way(secured)
    assert topics.end_offsets(kafka, sandbox.topics.interactions) == {0: 0}
    sent = [Record(b"ann", impression(1, SHOWN_MS), SHOWN_MS), Record(b"ann", b"{", SHOWN_MS)]
    target = Target(kafka, sandbox.topics.interactions, "secured")
    assert (await asyncio.to_thread(replay, sent, target, 60.0)).finished
    sandbox.send([heartbeat(CLOSED_MS)])
    async with running(sandbox, store, connection=kafka) as worker:
        await worker.until(lambda: store.decided == 1)
    (letter,) = await asyncio.to_thread(lambda: list(dead_letters.read(kafka, sandbox.topics.dead)))
    assert await asyncio.to_thread(dead_letters.redrive, kafka, [letter]) == 1
    recorded = await asyncio.to_thread(lambda: list(records_from_topic(kafka, sandbox.topics.interactions)))
    assert [record.value for record in recorded].count(b"{") == 2
    entry = Announcement(1, "v1", None, "test", "secured", datetime(2026, 11, 23, tzinfo=UTC), "ab" * 32)
    await asyncio.to_thread(announce, kafka, sandbox.topics.models, entry)
    following = follow(kafka, sandbox.topics.models)
    assert await asyncio.wait_for(anext(following), TIMEOUT_SECONDS) == entry
    await following.aclose()


async def test_a_token_command_that_fails_for_a_moment_ends_no_producer(secured: SecuredKafka, tmp_path: Path) -> None:
    sandbox = make_sandbox(secured.bootstrap, tmp_path)
    away, asked, script = (tmp_path / name for name in ("away", "asked", "token.sh"))
    script.write_text(
        f"#!/bin/sh\nif [ -e {away} ]; then touch {asked}; exit 1; fi\necho {unsecured_token()}\n", encoding="utf-8"
    )
    script.chmod(0o700)
    kafka = replace(by_token(secured), tokens=TokenSource(command=str(script)))
    producer = clients.async_producer(kafka, connections_max_idle_ms=100)
    await producer.start()
    try:
        await producer.send_and_wait(sandbox.topics.interactions, b"1")
        away.touch()
        sending = []
        while not asked.exists():  # until a connection was idle for too long, and a new one needs a token
            sending.append(await producer.send(sandbox.topics.interactions, b"2"))
            await asyncio.sleep(0.2)
        with pytest.raises(Unavailable, match=r"WEIR_KAFKA_TOKEN_COMMAND ended with status 1"):
            await asyncio.to_thread(topics.check, kafka, ())
        away.unlink()
        await asyncio.wait_for(asyncio.gather(*sending), TIMEOUT_SECONDS)
    finally:
        await producer.stop()


def test_wrong_credentials_are_one_line_each(secured: SecuredKafka, tmp_path: Path) -> None:
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
        with pytest.raises(Unavailable, match=line) as caught:
            topics.check(connection, ())
        assert "\n" not in str(caught.value)
        assert "wrong" not in str(caught.value)


def test_commands_go_the_secured_way_as_processes_and_say_in_a_line_what_is_wrong(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    login, mutual = by_login(secured), by_certificate(secured)
    names = {"TOPIC_PREFIX": "processes-", "PARTITIONS": 2}

    def weir(connection: KafkaConnection, *words: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "weir", *words], env=environment(connection, tmp_path, **names), cwd=tmp_path,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    status, made, error = weir(login, "topics", "--json")
    assert (status, error) == (0, "")
    assert all(topic["created"] for topic in json.loads(made))
    status, replayed, _ = weir(mutual, "replay", "simulation", "--limit", "20", "--json")
    assert (status, json.loads(replayed)["sent"]) == (0, 20)
    assert weir(login, "dead-letters", "list", "--json") == (0, "", "")
    wrong = {
        "WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD": replace(login, password="wrong"),
        "set WEIR_KAFKA_CA_FILE": replace(login, ca_file=Authority(tmp_path, "stranger").file),
        "not expired": replace(mutual, certificate_file=secured.authority.issue("expired", days=-10)),
    }
    with ThreadPoolExecutor() as pool:  # a refused login takes the client 10 s
        done = pool.map(lambda connection: weir(connection, "dead-letters", "list"), wrong.values())
    for remedy, (status, out, error) in zip(wrong, done, strict=True):
        assert (status, out, error.count("\n")) == (1, "", 1)
        assert error.startswith("weir: Kafka at ")
        assert remedy in error
