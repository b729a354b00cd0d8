"""Records of a producer that is not ours: every codec and frame, transactions, broker timestamps, binary keys.

librdkafka (confluent-kafka) writes one partition; what a worker and our kafka-python readers make of it is compared.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from confluent_kafka import KafkaError, Message, Producer

from importance.fields import Fields
from stream import dead_letters, topics
from stream.recorded_topic import records_from_topic
from tests.integration.stream.harness import (
    CLOSED_MS,
    POLICY,
    SHOWN_MS,
    Sandbox,
    Store,
    heartbeat,
    impression,
    make_sandbox,
    running,
)

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
KEY = b"\xff\xfe\x00no text"
MEGABYTE = 1 << 20

Shape = Callable[[bytes], bytes]


def own(event: bytes) -> bytes:
    """Weir's own form."""
    return event


def shop(event: bytes) -> bytes:
    """The same event as a shop has it."""
    found = json.loads(event)
    theirs = {"event_id": found["id"], "event": "view", "ts": found["time"] / 1000, "user": {"id": found["subject"]}}
    item = {"sku": found["item"], "title": found["text"]}
    return json.dumps(theirs | {"search": {"phrase": found["query"]}, "product": item}).encode()


SHOP = Fields.parse(
    "id=event_id, type=event, type.view=impression, time.seconds=ts, subject=user.id, surface='search', "
    "query=search.phrase, item=product.sku, text=product.title"
)

FRAME = b"\x00\x00\x00\x00\x07"
# Frames of a schema registry, and the reason of the dead letter where one is due. Avro: two strings, each a zigzag
# length and its bytes; Protobuf: index 0 of the first message, then field 1, of two bytes.
AVRO, PROTOBUF = FRAME + b"\x0cview-1\x06ann", FRAME + b"\x00\x0a\x02v1"


class Sent(NamedTuple):
    """One committed record: its value, and the sample's id or the reason of the dead letter that it becomes."""

    value: bytes
    sample: str | None = None
    reason: str | None = None


class Table:
    """What is sent, with numbers for the impressions."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._number = 0
        self.committed: list[Sent] = []

    def formats(self, codec: str) -> Iterator[Sent]:
        """A record of every format; a compressed batch holds more than a megabyte."""
        yield self._event()
        yield self._event(frame=FRAME)
        yield Sent(AVRO, reason="avro_framed")
        yield Sent(PROTOBUF, reason="protobuf_framed")
        if codec != "none":  # uncompressed, the broker would refuse it
            yield self._event(padding=b"x" * (2 * MEGABYTE))

    def _event(self, frame: bytes = b"", padding: bytes = b"") -> Sent:
        self._number += 1
        value = self._shape(impression(self._number, SHOWN_MS))
        return Sent(frame + value[:-1] + b', "padding": "' + padding + b'"}', sample=f"view-{self._number}")

    def send(self, bootstrap: str, topic: str) -> None:
        """Every codec: without a transaction, in one that is committed, and in one that is aborted."""
        for codec in CODECS:
            options = {
                "bootstrap.servers": bootstrap,
                "compression.type": codec,
                "linger.ms": 50,
                "message.max.bytes": 8 * MEGABYTE,
            }
            self.committed += _produced(Producer(options), topic, self.formats(codec))
            transactional = Producer(options | {"transactional.id": f"{topic}-{codec}"})
            transactional.init_transactions(30)
            transactional.begin_transaction()
            self.committed += _produced(transactional, topic, self.formats(codec))
            transactional.commit_transaction(30)
            transactional.begin_transaction()
            _produced(transactional, topic, self.formats(codec))
            transactional.abort_transaction(30)


def _produced(producer: Producer, topic: str, records: Iterator[Sent]) -> list[Sent]:
    """Send to the first partition, all of it stored on return."""
    sent = list(records)
    failures: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    for record in sent:
        producer.produce(topic, record.value, KEY, partition=0, on_delivery=delivered)
    assert producer.flush(30) == 0
    assert not failures
    return sent


@pytest.mark.parametrize(
    ("shape", "fields", "timestamps"), [(own, None, "CreateTime"), (shop, SHOP, "LogAppendTime")], ids=["own", "shop"]
)
async def test_every_committed_record_of_another_producer_becomes_what_it_should(
    shape: Shape, fields: Fields | None, timestamps: str, kafka: str, tmp_path: Path, store: Store
) -> None:
    sandbox = _place(kafka, tmp_path, timestamps)
    table = Table(shape)
    table.send(kafka, sandbox.topics.interactions)
    sandbox.send([heartbeat(CLOSED_MS)])
    samples = [sent.sample for sent in table.committed if sent.sample]
    async with running(sandbox, store, policy=msgspec.structs.replace(POLICY, fields=fields)) as worker:
        await worker.until(lambda: store.decided >= len(samples))
        assert await worker.end() == 0
    assert store.ids() == samples
    assert set(store.scored) == set(samples)
    letters = [(letter.reason, letter.value, letter.key) for letter in _letters(sandbox)]
    assert letters == [(sent.reason, sent.value, KEY) for sent in table.committed if sent.reason]
    recorded = list(records_from_topic(sandbox.connection, sandbox.topics.interactions))
    assert [(record.key, record.value) for record in recorded[:-1]] == [(KEY, sent.value) for sent in table.committed]


def _place(bootstrap: str, folder: Path, timestamps: str) -> Sandbox:
    sandbox = make_sandbox(bootstrap, folder, create=False)
    first, *others = topics.planned(sandbox.topics, sandbox.partitions, replication=1)
    first = replace(first, config={"message.timestamp.type": timestamps, "max.message.bytes": str(8 * MEGABYTE)})
    topics.provision(sandbox.connection, [first, *others])
    return sandbox


def _letters(sandbox: Sandbox) -> list[dead_letters.DeadLetter]:
    return list(dead_letters.read(sandbox.connection, sandbox.topics.dead))
