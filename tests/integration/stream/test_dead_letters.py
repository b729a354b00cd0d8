"""What is no event goes aside with its reason, stops nothing, and comes back when it is mended."""

from aiokafka import AIOKafkaProducer

from importance.attribution import Policy
from stream import dead_letters
from stream.dead_letters import DeadLetter
from stream.publishing import Publisher
from stream.reports import CommittedBatch
from tests.integration.stream.harness import CLOSED_MS, SHOWN_MS, Sandbox, Store, heartbeat, impression, running
from tests.support.malformed import MALFORMED, mutations, valid_impression

HOUR_MS = 3_600_000


async def test_every_kind_of_malformed_message_is_a_dead_letter_and_the_good_ones_keep_their_order(
    sandbox: Sandbox, store: Store
) -> None:
    values: list[bytes | None] = []
    for number, (value, _) in enumerate(MALFORMED.values()):
        values += [valid_impression(f"good-{number}"), value]
    sandbox.send([*values, heartbeat(SHOWN_MS)])
    async with running(sandbox, store) as worker:
        await worker.until(lambda: store.decided >= len(MALFORMED))
        told = [reason for batch in worker.of(CommittedBatch) for reason in batch.dead]
    assert store.ids() == [f"good-{number}" for number in range(len(MALFORMED))]
    letters = list(dead_letters.read(sandbox.connection, sandbox.topics.dead))
    assert [(letter.value, letter.reason) for letter in letters] == list(MALFORMED.values())
    assert [letter.offset for letter in letters] == list(range(1, 2 * len(MALFORMED), 2))
    assert {(letter.topic, letter.partition, letter.key) for letter in letters} == {
        (sandbox.topics.interactions, 0, b"ann")
    }
    assert told == [reason for _, reason in MALFORMED.values()]


async def test_fuzzed_messages_crash_nothing(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([*mutations(seed=1, count=5_000), valid_impression("the-last-one"), heartbeat(SHOWN_MS)])
    patient = Policy(window_ms=HOUR_MS, deduplication_ms=HOUR_MS * 24 * 366 * 60)  # a fuzzed time may be any year's
    async with running(sandbox, store, policy=patient) as worker:
        await worker.until(lambda: "the-last-one" in store.ids())
        read = sum(count for batch in worker.of(CommittedBatch) for count in batch.counts.values())
    assert read == 5_002


async def test_a_letter_is_as_received_with_key_and_headers(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([b"{", b"{", heartbeat(SHOWN_MS)], keys=[None, b"\xff" * 3, b"k"], headers=[("trace", b"7")])
    async with running(sandbox, store) as worker:
        await worker.until(lambda: sum(len(batch.dead) for batch in worker.of(CommittedBatch)) == 2)
    one, two = dead_letters.read(sandbox.connection, sandbox.topics.dead)
    assert (one.key, two.key) == (None, b"\xff" * 3)
    assert one.received_headers == (("trace", b"7"),)
    assert (one.value, one.partition, one.offset, two.offset) == (b"{", 0, 0, 1)


async def test_a_message_too_large_for_the_dead_letter_topic_leaves_its_outline(sandbox: Sandbox, store: Store) -> None:
    inflated = b"x" * 3_000_000  # a few kilobytes when compressed, and so accepted by the broker
    sandbox.send([inflated, b"{", impression(1, SHOWN_MS), heartbeat(CLOSED_MS)], compression_type="gzip")
    async with running(sandbox, store) as worker:
        await worker.until(lambda: store.decided == 1)
    letters = dead_letters.read(sandbox.connection, sandbox.topics.dead)
    outline, letter = sorted(letters, key=lambda letter: letter.offset)
    assert (outline.value, outline.offset, letter.value, letter.offset) == (None, 0, b"{", 1)


async def test_a_record_that_inflates_past_what_a_broker_reads_at_once_stops_nobody(
    sandbox: Sandbox, store: Store
) -> None:
    inflated = b"x" * 120_000_000
    sandbox.send([inflated, impression(1, SHOWN_MS), heartbeat(CLOSED_MS)], compression_type="gzip")
    async with running(sandbox, store) as worker:
        await worker.until(lambda: store.decided == 1)
    (outline,) = dead_letters.read(sandbox.connection, sandbox.topics.dead)
    assert (outline.value, outline.reason, outline.offset) == (None, "not_json", 0)


async def test_a_letter_at_which_the_broker_closes_the_connection_leaves_its_outline(sandbox: Sandbox) -> None:
    received = ("trace", b"x" * 105_000_000)  # past socket.request.max.bytes, and not in the value
    letters = [
        DeadLetter("not_json", sandbox.topics.interactions, 0, offset, b"ann", b"{", headers)
        for offset, headers in enumerate([(), (received,), ()])
    ]
    producer = AIOKafkaProducer(bootstrap_servers=sandbox.bootstrap, acks="all", request_timeout_ms=3_000)
    await producer.start()

    async def running_producer() -> AIOKafkaProducer:
        return producer

    publisher = Publisher(running_producer, sandbox.topics.importance, sandbox.topics.dead, max_sent_bytes=1 << 30)
    try:
        await publisher.publish([], letters)
    finally:
        await producer.stop()
    found = list(dead_letters.read(sandbox.connection, sandbox.topics.dead))
    assert [(letter.offset, letter.value, letter.received_headers) for letter in found] == [
        (0, b"{", ()),
        (1, None, ()),
        (2, b"{", ()),
    ]


async def test_a_mended_letter_becomes_a_sample(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([impression(1, SHOWN_MS)[:-1], heartbeat(SHOWN_MS)])
    async with running(sandbox, store) as worker:
        await worker.until(lambda: sum(len(batch.dead) for batch in worker.of(CommittedBatch)) == 1)
        letters = dead_letters.read(sandbox.connection, sandbox.topics.dead, lambda letter: letter.reason == "not_json")
        assert dead_letters.redrive(sandbox.connection, letters, lambda letter: (letter.value or b"") + b"}") == 1
        sandbox.send([heartbeat(CLOSED_MS)])
        await worker.until(lambda: store.ids() == ["view-1"])
    (record,) = [record for record in sandbox.read(sandbox.topics.interactions) if record.offset == 2]
    assert (record.key, record.value) == (b"ann", impression(1, SHOWN_MS))


async def test_a_letter_that_is_there_twice_is_listed_once(sandbox: Sandbox, store: Store) -> None:
    sandbox.send([b"{", impression(1, SHOWN_MS)])
    for attempt in (1, 2):  # the second worker reads again what the first one could not yet decide
        async with running(sandbox, store) as worker:
            await worker.until(lambda attempt=attempt, worker=worker: bool(worker.of(CommittedBatch)))
    store.progress.clear()
    async with running(sandbox, store) as worker:
        await worker.until(lambda: bool(worker.of(CommittedBatch)))
    assert len(sandbox.read(sandbox.topics.dead)) > 1
    (letter,) = dead_letters.read(sandbox.connection, sandbox.topics.dead)
    assert (letter.reason, letter.detail) == ("not_json", "Input data was truncated")


def test_a_letter_that_nobody_mends_stays_where_it_is(sandbox: Sandbox) -> None:
    letter = DeadLetter("not_json", sandbox.topics.interactions, 0, 0, b"ann", b"{")
    assert dead_letters.redrive(sandbox.connection, [letter], lambda letter: None) == 0
    assert sandbox.read(sandbox.topics.interactions) == []
