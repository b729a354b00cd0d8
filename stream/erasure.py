"""Erase a subject from topics: what Kafka allows, and how long the rest stays.

Kafka deletes whole prefixes of a partition only, or, where a topic is compacted, the records of a key. So dead letters
are rewritten: all others are sent again behind them, then everything before is deleted. A crash in between leaves
letters twice, which `stream.dead_letters` takes for one. Scores can be removed only from a compacted topic.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

import msgspec
from aiokafka.errors import KafkaError as AsyncKafkaError
from kafka import TopicPartition
from kafka.consumer.fetcher import ConsumerRecord
from kafka.errors import KafkaError

from importance.errors import InvalidEvent, Unavailable
from importance.fields import Fields
from importance.framing import unframed
from stream import clients
from stream.connecting import require_broker
from stream.connection import KafkaConnection
from stream.dead_letters import DeadLetter
from stream.publishing import Message, send
from stream.reading import TIMEOUT_SECONDS, read_to
from stream.topics import Topics, cleanups, delete_before, end_offsets

_SENT_BYTES = 64 << 20  # no letter is larger than what the topic has accepted


class _Named(msgspec.Struct):
    """The part of an event or a score that names its subject."""

    subject: object = None


_decode = msgspec.json.Decoder(_Named).decode


@dataclass(frozen=True)
class TopicErasure:
    """What an erasure did in a topic: ``removed`` records, and which of the subject ``remain`` there, if any, how long.

    ``retention_ms``: after so long Kafka deletes a record by its age; None: never.
    """

    topic: str
    removed: int
    remain: str | None
    retention_ms: int | None


def erase(
    connection: KafkaConnection, topics: Topics, subject: str, fields: Fields | None, *, dry_run: bool = False
) -> list[TopicErasure]:
    """Remove a subject's records from the topics of Weir as far as Kafka allows; return what was done in each.

    ``fields`` is the mapping by which a shop's own messages are read. Raises :class:`Unavailable`, after which it can
    be called again, and NotFound where a topic does not exist.
    """
    found = cleanups(connection, [topics.interactions, topics.dead, topics.importance])
    letters, scores = found[topics.dead], found[topics.importance]
    try:
        removed = _erase_letters(connection, topics.dead, subject, fields, dry_run)
        emptied = _erase_scores(connection, topics.importance, subject, dry_run) if scores.compacts else 0
    except KafkaError as error:
        raise Unavailable(f"Kafka at {connection} did not erase all: {clients.cause(connection, error)}") from error
    kept = "scores, until Kafka compacts the topic" if scores.compacts else "scores, which carry subject and item"
    return [
        TopicErasure(
            topics.interactions, 0, "events, which belong to their producers", found[topics.interactions].retention_ms
        ),
        TopicErasure(topics.dead, removed, None, letters.retention_ms),
        TopicErasure(topics.importance, emptied, kept, scores.retention_ms),
    ]


def _erase_letters(connection: KafkaConnection, topic: str, subject: str, fields: Fields | None, dry_run: bool) -> int:
    """Rewrite the partitions that hold a letter of the subject; return how many letters it had."""
    ends = end_offsets(connection, topic)
    last: dict[object, tuple[int, int]] = {}
    concerned: dict[int, int] = {}
    removed = 0
    for record in _records(connection, topic, ends):
        last[_source(record)] = (record.partition, record.offset)
        if is_of(record, subject, fields):
            concerned[record.partition] = ends[record.partition]
            removed += 1
    if dry_run or not removed:
        return removed
    kept = (
        record
        for record in _records(connection, topic, concerned)
        if last[_source(record)] == (record.partition, record.offset) and not is_of(record, subject, fields)
    )
    _send(connection, topic, map(_again, kept))
    delete_before(connection, topic, concerned)
    return removed


def _erase_scores(connection: KafkaConnection, topic: str, subject: str, dry_run: bool) -> int:
    """Write a record without value for each score of the subject, which compaction removes; return their number."""
    named: dict[tuple[int, bytes | None], None] = {}
    for record in _records(connection, topic, end_offsets(connection, topic)):
        if record.value is None:  # removed by an earlier erasure
            named.pop((record.partition, record.key), None)
        elif is_of(record, subject, None):
            named[record.partition, record.key] = None
    if named and not dry_run:
        _send(connection, topic, ((partition, Message(key, None)) for partition, key in named))
    return len(named)


def is_of(record: ConsumerRecord, subject: str, fields: Fields | None) -> bool:
    """Return whether a record is of a subject: by its key, its field, or the name in quotes where it is not JSON."""
    if record.key == subject.encode() or subject.encode() in (text for _, text in record.headers):
        return True
    if record.value is None:
        return False
    try:
        return _subject_of(record.value, fields) == subject
    except (msgspec.MsgspecError, InvalidEvent, ValueError, RecursionError):
        return any(json.dumps(subject, ensure_ascii=escaped).encode() in record.value for escaped in (True, False))


def _subject_of(value: bytes, fields: Fields | None) -> object:
    text = unframed(value) if value.startswith(b"\0") else value
    return _decode(text if fields is None else fields.rewrite(text)).subject


def _source(record: ConsumerRecord) -> object:
    """Return what identifies a letter; a record that is none stands for itself."""
    letter = DeadLetter.parse(record.key, record.value, record.headers)
    return (record.partition, record.offset) if letter is None else letter.source


def _records(connection: KafkaConnection, topic: str, ends: dict[int, int]) -> Iterator[ConsumerRecord]:
    require_broker(connection)
    with closing(clients.consumer(connection, auto_offset_reset="earliest")) as consumer:
        partitions = {TopicPartition(topic, number): end for number, end in ends.items()}
        consumer.assign(list(partitions))
        consumer.seek_to_beginning(*partitions)
        yield from read_to(consumer, partitions, TIMEOUT_SECONDS)


def _again(record: ConsumerRecord) -> tuple[int, Message]:
    return record.partition, Message(record.key, record.value, tuple(record.headers), record.timestamp)


def _send(connection: KafkaConnection, topic: str, addressed: Iterable[tuple[int, Message]]) -> None:
    """Send messages to given partitions, and return when the broker has them all.

    By aiokafka: kafka-python sends no record that has neither key nor value, as the outline of a letter.
    """

    async def all_of_them() -> None:
        async with clients.async_producer(connection, max_request_size=_SENT_BYTES) as producer:
            await send(producer, topic, addressed)

    try:
        asyncio.run(all_of_them())
    except AsyncKafkaError as error:
        raise Unavailable(f"Kafka at {connection} did not take the rest of {topic}: {error}: try again") from error
