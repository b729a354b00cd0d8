"""Every worker hears which version serves, and nobody goes back to an older one by a late message."""

import asyncio
from datetime import UTC, datetime

import pytest
from kafka import KafkaProducer

from importance.errors import Unavailable
from stream.announcements import Announcement, announce, follow
from stream.connection import KafkaConnection
from tests.integration.stream.harness import Sandbox
from tests.support.waiting import TIMEOUT_SECONDS


def announcement(sequence: int) -> Announcement:
    time = datetime(2026, 11, 23, 12, tzinfo=UTC)
    return Announcement(sequence, f"v{sequence}", f"v{sequence - 1}", "trainer", "gate passed", time, "ab" * 32)


async def test_announcements_are_followed_in_order_by_all_and_older_ones_ignored(sandbox: Sandbox) -> None:
    where = (sandbox.connection, sandbox.topics.models)
    early = follow(*where)
    heard = asyncio.create_task(anext(early))  # follows before anything is announced
    await asyncio.to_thread(announce, *where, announcement(3))
    assert await asyncio.wait_for(heard, TIMEOUT_SECONDS) == announcement(3)
    for sequence in (2, 3, 5):
        await asyncio.to_thread(announce, *where, announcement(sequence))
    assert await asyncio.wait_for(anext(early), TIMEOUT_SECONDS) == announcement(5)
    late = follow(*where, after=4)
    assert await asyncio.wait_for(anext(late), TIMEOUT_SECONDS) == announcement(5)
    await early.aclose()
    await late.aclose()


async def test_what_is_no_announcement_is_passed_over(sandbox: Sandbox) -> None:
    producer = KafkaProducer(bootstrap_servers=sandbox.bootstrap)
    for value in (b"{", None, b"[]", b'{"sequence": "one"}'):
        producer.send(sandbox.topics.models, value, b"active").get(timeout=30)
    producer.close()
    await asyncio.to_thread(announce, sandbox.connection, sandbox.topics.models, announcement(1))
    following = follow(sandbox.connection, sandbox.topics.models)
    assert await asyncio.wait_for(anext(following), TIMEOUT_SECONDS) == announcement(1)
    await following.aclose()


async def test_a_broker_that_is_away_is_said() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        await asyncio.to_thread(announce, KafkaConnection("127.0.0.1:1"), "models", announcement(1), 0.5)
    with pytest.raises(Unavailable, match="does not answer"):
        await anext(follow(KafkaConnection("127.0.0.1:1"), "models"))
