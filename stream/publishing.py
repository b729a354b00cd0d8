"""Publish to Kafka: a score for every decided sample, and the dead letters; awaited, at least once.

Records are put into batches here and handed to aiokafka whole, which is some six times as fast as sending one by one.

"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from numpy.typing import NDArray

from importance.errors import Unavailable
from importance.sample import outcome_table
from importance.scores import Offer
from stream.dead_letters import HEADERS, DeadLetter, Headers


class Importance(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A record of the topic ``importance``; ``time`` is event time in milliseconds since the epoch.

    ``outcome`` is the strongest action at the window's close. ``query``, ``text`` and ``attributes`` are the payload.
    """

    sample: str
    subject: str
    item: str
    label: int
    importance: float
    estimator: str
    model: str
    kept: bool
    probability: float
    time: int
    surface: str
    outcome: str
    stratum: str
    query: str | None = None
    text: str | None = None
    attributes: Mapping[str, str | int | float | bool | None] | None = None
    prediction: float | None = None


class Message(msgspec.Struct, frozen=True, gc=False):
    """One record to be sent; without ``timestamp_ms`` it is of now."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    timestamp_ms: int | None = None

    @property
    def size(self) -> int:
        """Return bytes of key, value and headers."""
        headers = sum(len(name) + len(text or b"") for name, text in self.headers)
        return len(self.key or b"") + len(self.value or b"") + headers

    def outline(self) -> "Message":
        """Return a dead letter without what was received: its headers lead to the original, however large that is."""
        return Message(None, None, tuple(pair for pair in self.headers if pair[0] in HEADERS))


_MEGABYTE: Final = 1 << 20
# Brokers close the connection at 100 MB (socket.request.max.bytes), managed ones at less, and give no reason. Trying
# costs memory, too, and topics that take as much as this are rare.
_MAX_SENT_BYTES: Final = 32 * _MEGABYTE
# A letter that any broker takes: its failure is the broker's, not its own.
_ORDINARY_BYTES: Final = _MEGABYTE // 2

PAYLOAD_BYTES = 1 << 18
"""The longest record that keeps its payload. The longest texts take a fourth of it; attributes may take more than a
topic accepts, and a record that is never accepted would stop its partition.
"""

_ENCODER = msgspec.json.Encoder()
_OUTCOMES = tuple(outcome.value for outcome in outcome_table())  # an enum takes longer to encode


def importance_messages(offers: Sequence[Offer], payload: bool = True) -> list[Message]:
    """Return the records with the importance of each sample, keyed by the sample's id."""
    return [Message(offer.sample.id.encode(), _encoded(offer, payload)) for offer in offers]


def _encoded(offer: Offer, payload: bool) -> bytes:
    sample = offer.sample
    # By position, which takes half the time that names take.
    value = _ENCODER.encode(
        Importance(
            sample.id, sample.subject, sample.item, offer.label, offer.importance, offer.estimator, offer.model,
            offer.kept, offer.probability, sample.time_ms, sample.surface, _OUTCOMES[sample.actions], offer.stratum,
            sample.query if payload else None, sample.text if payload else None,
            (sample.attributes or None) if payload else None, offer.prediction,
        )
    )  # fmt: skip
    return value if len(value) <= PAYLOAD_BYTES or not payload else _encoded(offer, payload=False)


def murmur2(keys: Sequence[bytes]) -> NDArray[np.uint32]:
    """Compute Kafka's murmur2 of each key, all at once: the Java client's hash, of which producers take 31 bits.

    >>> [int(value) for value in murmur2([b"21", b"foobar"]).view(np.int32)]  # from Kafka's own tests
    [-973932308, -790332482]
    """
    sizes = np.fromiter(map(len, keys), np.uint32, len(keys))
    words = int(sizes.max(initial=0)) // 4 + 1
    padded = b"".join(key.ljust(words * 4, b"\0") for key in keys)
    blocks = np.frombuffer(padded, "<u4").reshape(len(keys), words)
    mix = np.uint32(0x5BD1E995)
    state = np.uint32(0x9747B28C) ^ sizes
    for column in range(words):
        block = blocks[:, column] * mix
        block ^= block >> np.uint32(24)
        state = np.where(sizes // 4 > column, (state * mix) ^ (block * mix), state)
    tail = blocks[np.arange(len(keys)), sizes // 4]  # the last 0 to 3 bytes; the padding is zero
    state = np.where(sizes % 4 > 0, (state ^ tail) * mix, state)
    state = (state ^ (state >> np.uint32(13))) * mix
    return state ^ (state >> np.uint32(15))


def partitions_of(keys: Sequence[bytes], count: int) -> list[int]:
    """Return the partition of each key among ``count``, as Kafka's default partitioner chooses it."""
    return ((murmur2(keys) & np.uint32(0x7FFFFFFF)) % np.uint32(count)).tolist() if keys else []


class Publisher:
    """Sends scores and dead letters through one aiokafka producer, and returns when the broker has them.

    ``producer`` gives the running producer; without ``payload`` scores carry no texts and attributes. Raises
    :class:`Unavailable` when Kafka did not take all: the same call may be made again, and what had arrived is then
    there twice. A letter of more than ``max_sent_bytes`` is not even tried whole.
    """

    def __init__(
        self,
        producer: Callable[[], Awaitable[AIOKafkaProducer]],
        importance_topic: str,
        dead_topic: str,
        max_sent_bytes: int = _MAX_SENT_BYTES,
        payload: bool = True,
    ) -> None:
        self._producer = producer
        self._importance_topic = importance_topic
        self._dead_topic = dead_topic
        self._max_sent_bytes = max_sent_bytes
        self._payload = payload

    async def publish(self, offers: Sequence[Offer], letters: Sequence[DeadLetter]) -> None:
        """Send both, and wait until all is acknowledged by the broker."""
        try:
            producer = await self._producer()
            if letters:
                await self._send_letters(producer, letters)
            if offers:
                count = len(await producer.partitions_for(self._importance_topic))
                messages = importance_messages(offers, self._payload)
                partitions = partitions_of([message.key or b"" for message in messages], count)
                await send(producer, self._importance_topic, zip(partitions, messages, strict=True))
        except KafkaError as error:
            raise Unavailable(f"Kafka did not take what was published ({type(error).__name__}: {error})") from error

    async def _send_letters(self, producer: AIOKafkaProducer, letters: Sequence[DeadLetter]) -> None:
        count = len(await producer.partitions_for(self._dead_topic))
        # By source partition, which keeps their order: unchecked keys may be anything, of any size.
        addressed = [
            (letter.partition % count, Message(letter.key, letter.value, letter.headers)) for letter in letters
        ]
        for large, together in groupby(addressed, key=lambda pair: pair[1].size > _ORDINARY_BYTES):
            await self._send_run(producer, list(together), large)

    async def _send_run(self, producer: AIOKafkaProducer, run: Sequence[tuple[int, Message]], large: bool) -> None:
        """Send letters in batches; one by one if they are large, or one of them is larger than the topic allows."""
        if not large:
            with contextlib.suppress(MessageSizeTooLargeError):
                await send(producer, self._dead_topic, run)
                return
        for partition, message in run:
            await self._send_or_outline(producer, partition, message)

    async def _send_or_outline(self, producer: AIOKafkaProducer, partition: int, message: Message) -> None:
        """Send one letter; its outline if it cannot be sent whole, whatever the error.

        It may have come compressed. A broker may close the connection at it, which resembles an outage; so a large
        letter counts as the cause only when it fails twice, and the broker answers a small request after either.
        """
        if message.size <= self._max_sent_bytes:
            for _ in range(2):
                try:
                    return await send(producer, self._dead_topic, [(partition, message)])
                except MessageSizeTooLargeError:
                    break
                except KafkaError:
                    if message.size <= _ORDINARY_BYTES:
                        raise
                    await producer.client.fetch_all_metadata()  # fails while Kafka is unavailable
        return await send(producer, self._dead_topic, [(partition, message.outline())])


async def send(producer: AIOKafkaProducer, topic: str, addressed: Iterable[tuple[int, Message]]) -> None:
    """Send (partition, message) pairs in batches, each partition's in order, and wait for all of them."""
    batches: dict[int, Any] = {}
    pending: list[Awaitable[Any]] = []
    results: list[Any] = []
    try:
        for partition, message in addressed:
            batch = batches.get(partition)
            if batch is None:
                batch = batches[partition] = producer.create_batch()
            if not _append(batch, message):
                pending.append(await producer.send_batch(batch, topic, partition=partition))
                batches[partition] = batch = producer.create_batch()
                _append(batch, message)  # an empty batch takes a record of any size
        for partition, batch in batches.items():
            pending.append(await producer.send_batch(batch, topic, partition=partition))
    finally:  # whatever happens, wait for every batch under way: no failure may be left unseen
        results += await asyncio.gather(*pending, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def _append(batch: Any, message: Message) -> bool:
    headers = list(message.headers)  # aiokafka takes no other kind of sequence
    return (
        batch.append(timestamp=message.timestamp_ms, key=message.key, value=message.value, headers=headers) is not None
    )
