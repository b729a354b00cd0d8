"""Dead letters: the records that could not be read, the reasons, and redriving.

A dead letter is the record as it was received, key, value and headers, in the topic ``interactions.dead``, with five
more headers with the reason and the source. :func:`read` lists them, :func:`redrive` sends them, fixed or not, back to
their source. A repeat is possible after a crash; source topic, partition and offset identify it.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from aiokafka import ConsumerRecord
from kafka import TopicPartition
from kafka.errors import KafkaError

from importance.errors import NotFound, Unavailable
from stream import clients
from stream.connecting import require_broker
from stream.connection import KafkaConnection
from stream.reading import TIMEOUT_SECONDS, read_to

REASON, TOPIC, PARTITION, OFFSET = "weir-reason", "weir-topic", "weir-partition", "weir-offset"
DETAIL = "weir-detail"
"""The header with field, value and bound; letters of earlier versions lack it."""

_NEEDED = frozenset((REASON, TOPIC, PARTITION, OFFSET))
HEADERS = _NEEDED | {DETAIL}

BACKFILL = "weir-backfill"
"""The header of a record that is sent late on purpose, whatever its value."""

ORIGIN = "weir-origin"
"""The header of a redriven record: topic, partition and offset of the record that became a dead letter first."""

_ORIGIN = re.compile(rb"([A-Za-z0-9._-]{1,249}):(\d{1,9}):(\d{1,18})")

Headers = tuple[tuple[str, bytes | None], ...]


def is_backfill(headers: Iterable[tuple[str, bytes | None]]) -> bool:
    """Return whether a record with these headers is late on purpose."""
    return any(name == BACKFILL for name, _ in headers)


def _origin(record: ConsumerRecord) -> tuple[str, int, int]:
    """Return where a record lay first; a header that names another topic is not ours, and leads nowhere."""
    match = _ORIGIN.fullmatch(dict(record.headers).get(ORIGIN) or b"")
    if match is None or match[1].decode() != record.topic:
        return record.topic, record.partition, record.offset
    return record.topic, int(match[2]), int(match[3])


@dataclass(frozen=True)
class DeadLetter:
    """A record that is not a valid event: as received, and ``topic``, ``partition``, ``offset`` of its source.

    ``reason`` is a stable word, ``detail`` a line with the field, the value and the bound; ``time_ms`` is the record's
    Kafka timestamp, None where it is not known.
    """

    reason: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    received_headers: Headers = ()
    detail: str = ""
    time_ms: int | None = None

    @property
    def subject(self) -> str | None:
        """Return the subject that the record is keyed by; None where the key is not text."""
        try:
            return None if self.key is None else self.key.decode()
        except UnicodeDecodeError:
            return None

    @property
    def headers(self) -> Headers:
        """Return the headers as received, then ours."""
        return (
            *(pair for pair in self.received_headers if pair[0] not in HEADERS),
            (REASON, self.reason.encode()),
            (DETAIL, self.detail.encode()),
            (TOPIC, self.topic.encode()),
            (PARTITION, str(self.partition).encode()),
            (OFFSET, str(self.offset).encode()),
        )

    @property
    def source(self) -> tuple[str, int, int]:
        """Return topic, partition and offset of the record."""
        return self.topic, self.partition, self.offset

    @property
    def redriven_headers(self) -> list[tuple[str, bytes]]:
        """Return the headers as received, as far as the producer can send them, and what a redriven record needs."""
        received = [(name, text or b"") for name, text in self.received_headers if name not in (BACKFILL, ORIGIN)]
        origin = f"{self.topic}:{self.partition}:{self.offset}"
        return [*received, (BACKFILL, b"1"), (ORIGIN, origin.encode())]

    @classmethod
    def of(cls, record: ConsumerRecord, reason: str, detail: str) -> "DeadLetter":
        """Return the letter for a record of the interactions topic; that of a redriven one is of what was redriven."""
        topic, partition, offset = _origin(record)
        return cls(
            reason,
            topic,
            partition,
            offset,
            record.key,
            record.value,
            tuple(record.headers),
            detail,
            record.timestamp,
        )

    @classmethod
    def parse(
        cls, key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]
    ) -> "DeadLetter | None":
        """Parse a record of the dead-letter topic; None when it is not a dead letter, whatever its headers are.

        >>> letter = DeadLetter("not json", "interactions", 3, 17, b"ann", b"{")
        >>> DeadLetter.parse(letter.key, letter.value, letter.headers) == letter
        True
        """
        received = tuple(headers)
        ours = {name: text for name, text in received if name in HEADERS and text is not None}
        if not ours.keys() >= _NEEDED:
            return None
        try:
            return cls(
                ours[REASON].decode(),
                ours[TOPIC].decode(),
                int(ours[PARTITION]),
                int(ours[OFFSET]),
                key,
                value,
                tuple(pair for pair in received if pair[0] not in HEADERS),
                ours.get(DETAIL, b"").decode(),
            )
        except ValueError:  # no numbers, or no text
            return None


Choose = Callable[[DeadLetter], bool]
Fix = Callable[[DeadLetter], bytes | None]


def _every(_: DeadLetter) -> bool:
    return True


def _as_it_is(letter: DeadLetter) -> bytes | None:
    return letter.value


def read(
    connection: KafkaConnection, topic: str, choose: Choose = _every, timeout_seconds: float = TIMEOUT_SECONDS
) -> Iterator[DeadLetter]:
    """Yield the chosen letters, once per source record, partition by partition, up to the end as it is now.

    Of a record that failed again after it was redriven the last letter counts; so the topic is read twice.
    Raises :class:`NotFound` when there is no such topic, :class:`Unavailable` when Kafka is unavailable.
    """
    last = {letter.source: position for position, letter in _records(connection, topic, timeout_seconds)}
    for position, letter in _records(connection, topic, timeout_seconds):
        if last.get(letter.source) == position and choose(letter):
            yield letter


def _records(
    connection: KafkaConnection, topic: str, timeout_seconds: float
) -> Iterator[tuple[tuple[int, int], DeadLetter]]:
    """Yield partition and offset of each letter in its topic, and the letter."""
    require_broker(connection)
    try:
        consumer = clients.consumer(connection, auto_offset_reset="earliest")
    except KafkaError as error:
        raise Unavailable(f"Kafka at {connection} does not answer: {clients.cause(connection, error)}") from error
    try:
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            raise NotFound(f"topic {topic} does not exist: create it with weir topics")
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        ends = consumer.end_offsets(partitions)
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        for record in read_to(consumer, ends, timeout_seconds):
            letter = DeadLetter.parse(record.key, record.value, record.headers)
            if letter is not None:
                yield (record.partition, record.offset), letter
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {connection} did not give all of {topic}: {clients.cause(connection, error)}"
        ) from error
    finally:
        consumer.close()


def redrive(connection: KafkaConnection, letters: Iterable[DeadLetter], fix: Fix = _as_it_is) -> int:
    """Send letters back to the topic they came from, with the key and headers as received; return their number.

    Two headers are added: that it is backfill, and so never late; and its first source, so that it stays one letter
    should it fail again. ``fix`` returns the bytes to send, or None to leave the letter where it is. Order is kept.
    Every send is awaited: a failure raises :class:`Unavailable`, and nothing after it was sent.
    """
    sent = 0
    require_broker(connection)
    try:
        producer = clients.producer(connection, enable_idempotence=True)
    except KafkaError as error:
        raise Unavailable(f"Kafka at {connection} does not answer: {clients.cause(connection, error)}") from error
    try:
        for letter in letters:
            value = fix(letter)
            if value is not None:
                # Without a key its own partition must do, or it could end in another one than what it answers.
                partition = letter.partition if letter.key is None else None
                headers = letter.redriven_headers
                future = producer.send(letter.topic, value, letter.key, headers=headers, partition=partition)
                future.get(timeout=30)
                sent += 1
    except KafkaError as error:
        raise Unavailable(
            f"after {sent} letters Kafka at {connection} took no more: {clients.cause(connection, error)}"
        ) from error
    finally:
        producer.close()
    return sent
