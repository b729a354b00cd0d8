"""A subject's dead letters are gone from the topic at once, all others are as they were, and scores are nulled."""

import asyncio
import json
import secrets
from contextlib import closing
from dataclasses import replace

import pytest
from kafka import KafkaProducer

from importance.errors import NotFound
from importance.fields import Fields
from stream import clients, dead_letters, erasure
from stream.dead_letters import DeadLetter, Headers
from stream.erasure import TopicErasure
from stream.publishing import Message, send
from stream.topics import Topics, planned, provision
from tests.integration.stream.harness import Sandbox, impression
from tests.support.shop import FIELDS
from tests.support.topic import records
from tests.support.waiting import until

SHOP = {"user": {"id": 4711}, "event_id": "e", "what": "view"}


def letter(
    offset: int, value: bytes | None, key: bytes | None = None, partition: int = 0, received: Headers = ()
) -> DeadLetter:
    return DeadLetter("not_json", "interactions", partition, offset, key, value, received)


@pytest.fixture
def topics(sandbox: Sandbox) -> Topics:
    """Topics of three partitions, with scores that are compacted."""
    return topics_of(sandbox, {"cleanup.policy": "compact,delete"})


def topics_of(sandbox: Sandbox, scores: dict[str, str]) -> Topics:
    name = secrets.token_hex(4)
    ours = Topics(f"{name}-interactions", f"{name}-dead", f"{name}-importance", f"{name}-models")
    configs = {ours.importance: scores, ours.interactions: {"retention.ms": "86400000"}}
    plans = planned(ours, partitions=3, replication=1)
    provision(
        sandbox.connection, [replace(plan, config={**plan.config, **configs.get(plan.name, {})}) for plan in plans]
    )
    return ours


def put(sandbox: Sandbox, topic: str, letters: list[DeadLetter], first_ms: int = 1_000) -> None:
    """As a worker publishes them: also what has neither key nor value."""

    async def publish() -> None:
        async with clients.async_producer(sandbox.connection) as producer:
            addressed = [
                (each.partition, Message(each.key, each.value, each.headers, first_ms + number))
                for number, each in enumerate(letters)
            ]
            await send(producer, topic, addressed)

    asyncio.run(publish())


def test_letters_of_a_subject_are_deleted_and_all_others_are_kept_with_their_times(
    sandbox: Sandbox, topics: Topics
) -> None:
    others = [
        letter(1, b"{", b"bernard"),
        letter(2, impression(2, 5, "bernard"), None),
        letter(4, b"\xff\x00 not text", None, received=(("trace", b"7"),)),
        letter(5, None, None),
        letter(9, b'{"subject": "ann', b"", partition=1),  # of somebody whose name begins alike
        letter(3, impression(3, 5, "carla").replace(b"carla", b"carl\xff"), b"carla", partition=2),
    ]
    of_annabel = [
        letter(0, b"{", b"annabel"),
        letter(3, impression(1, 5, "annabel")[:-9]),  # cut, and without a key
        letter(6, b'\0\0\0\0\7{"subject": "annabel", "id": 5}', None),
        letter(7, b"{}", None, received=(("user", b"annabel"),)),
        letter(8, impression(7, 5, "annabel"), None, partition=1),
    ]
    put(sandbox, topics.dead, [of_annabel[0], *others[:2], *of_annabel[1:4], *others[2:5], of_annabel[4], others[5]])
    again = replace(others[0], value=b"{ again")  # it was redriven, and failed once more
    put(sandbox, topics.dead, [again], first_ms=5_000)
    bootstrap = sandbox.connection.bootstrap
    before = {(each.partition, each.value): each.timestamp for each in records(bootstrap, topics.dead)}

    shown = erasure.erase(sandbox.connection, topics, "annabel", None, dry_run=True)
    assert [each.removed for each in shown] == [0, 5, 0]
    assert len(list(dead_letters.read(sandbox.connection, topics.dead))) == 11
    assert erasure.erase(sandbox.connection, topics, "annabel", None) == shown

    left = list(records(bootstrap, topics.dead))
    content = repr([(each.key, each.value, each.headers) for each in left])
    assert "annabel" not in content
    assert {each.partition for each in left} == {0, 1, 2}
    assert all(each.timestamp == before[each.partition, each.value] for each in left)
    found = list(dead_letters.read(sandbox.connection, topics.dead))
    assert sorted(found, key=repr) == sorted([again, *others[1:]], key=repr)
    assert erasure.erase(sandbox.connection, topics, "annabel", None)[1].removed == 0


def test_letters_in_a_shop_s_own_json_are_found_by_its_mapping(sandbox: Sandbox, topics: Topics) -> None:
    put(
        sandbox,
        topics.dead,
        [letter(0, json.dumps(SHOP).encode()), letter(1, json.dumps({**SHOP, "user": {}}).encode())],
    )
    fields = Fields.parse(FIELDS)
    assert erasure.erase(sandbox.connection, topics, "4711", fields)[1].removed == 1
    (left,) = dead_letters.read(sandbox.connection, topics.dead)
    assert left.offset == 1


def test_scores_of_a_compacted_topic_get_a_record_without_value_and_others_are_reported(
    sandbox: Sandbox, topics: Topics
) -> None:
    producer = KafkaProducer(bootstrap_servers=sandbox.connection.bootstrap, acks="all")
    for number, subject in enumerate(["annabel", "bernard", "annabel"]):
        value = json.dumps({"sample": f"s{number}", "subject": subject}).encode()
        producer.send(topics.importance, value, f"s{number}".encode(), partition=number)
    producer.close()
    events, _, scores = erasure.erase(sandbox.connection, topics, "annabel", None)
    assert events == TopicErasure(topics.interactions, 0, "events, which belong to their producers", 86_400_000)
    assert (scores.removed, scores.remain) == (2, "scores, until Kafka compacts the topic")
    last = {each.key: each.value for each in records(sandbox.connection.bootstrap, topics.importance)}
    assert {key for key, value in last.items() if value is None} == {b"s0", b"s2"}
    assert erasure.erase(sandbox.connection, topics, "annabel", None)[2].removed == 0
    scores = erasure.erase(sandbox.connection, sandbox.topics, "annabel", None)[2]
    assert scores == TopicErasure(sandbox.topics.importance, 0, "scores, which carry subject and item", None)


def test_kafka_removes_the_scores_that_were_nulled_and_what_nulled_them(sandbox: Sandbox) -> None:
    eager = {"min.cleanable.dirty.ratio": "0", "max.compaction.lag.ms": "1", "delete.retention.ms": "0"}
    topics = topics_of(sandbox, {"cleanup.policy": "compact,delete", "segment.ms": "100", **eager})
    bootstrap = sandbox.connection.bootstrap
    with closing(KafkaProducer(bootstrap_servers=bootstrap, acks="all")) as producer:

        def put_score(sample: str, subject: str) -> None:
            value = json.dumps({"sample": sample, "subject": subject}).encode()
            producer.send(topics.importance, value, sample.encode(), partition=0).get(timeout=30)

        for sample, subject in (("s0", "annabel"), ("s1", "bernard")):
            put_score(sample, subject)
        assert erasure.erase(sandbox.connection, topics, "annabel", None)[2].removed == 1

        def left() -> set[tuple[bytes | None, bool]]:
            put_score("s2", "carla")  # the segment that is written to is never compacted
            return {(each.key, each.value is None) for each in records(bootstrap, topics.importance)}

        until("the cleaner", lambda: left() == {(b"s1", False), (b"s2", False)}, seconds=120)


def test_a_topic_that_is_missing_is_named(sandbox: Sandbox) -> None:
    with pytest.raises(NotFound, match="gone does not exist"):
        erasure.erase(sandbox.connection, replace(sandbox.topics, dead="gone"), "annabel", None)
