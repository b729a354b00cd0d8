"""What is no event, through the whole worker: aside with its reason, in nobody's way, and back when it is mended."""

import json
from collections.abc import Iterator

import pytest

from storage.buffer_reader import BufferReader
from stream import dead_letters
from tests.support.comparison import assert_as_told, published_scores
from tests.support.malformed import KAFKA_TIME_MS, MALFORMED, mutations, valid_impression
from tests.support.oracle import Oracle
from tests.support.service import WINDOW_MS, Service
from tests.support.traffic import Record
from tests.support.worker import WorkerProcess

pytestmark = pytest.mark.timeout(900)  # half a minute on an idle machine


def record(value: bytes | None, subject: str = "a-fuzzer") -> Record:
    """All that is fuzzed lies in one partition: an id on two of them belongs to whoever comes first."""
    return Record(subject.encode(), value, KAFKA_TIME_MS)


def mixed(seed: int, fuzzed: int) -> Iterator[Record]:
    """Fuzzed messages, and after every tenth of them a good one of one of many subjects."""
    for number, value in enumerate(mutations(seed, fuzzed)):
        yield record(value)
        if number % 10 == 9:
            yield record(valid_impression(f"good-{number}"), f"subject-{number}")


def close_windows(service: Service, oracle: Oracle, windows: int) -> None:
    """Let event time run on by so many windows, and wait until all is decided."""
    service.beat(KAFKA_TIME_MS + windows * WINDOW_MS)
    service.until_decided(oracle.read())


def until_counted(service: Service, worker: WorkerProcess, events: int, dead: int) -> None:
    """A worker's figures follow what is stored: wait for them to be these."""
    expected = {"weir_events": events, "weir_dead_letters": dead}
    service.until(f"{expected}", lambda: {name: worker.total(name) for name in expected} == expected)


def test_every_kind_of_malformed_message_is_a_dead_letter_and_a_mended_one_becomes_a_sample(service: Service) -> None:
    assert len(MALFORMED) >= 60
    worker = service.start()
    oracle = Oracle(service.settings, service.topic)
    service.send(record(value) for value, _ in MALFORMED.values())
    service.send([record(valid_impression("the-last-one"))])
    close_windows(service, oracle, 3)
    letters = list(dead_letters.read(service.connection, service.topics.dead))
    assert [(letter.value, letter.reason) for letter in letters] == list(MALFORMED.values())
    until_counted(service, worker, events=len(MALFORMED) + 3, dead=len(MALFORMED))

    lost = next(letter for letter in letters if letter.value == MALFORMED["a message without its last brace"][0])
    position = ["--partition", str(lost.partition), "--offset", str(lost.offset)]
    mended = valid_impression("mended", time=KAFKA_TIME_MS + 3 * WINDOW_MS)
    service.weir("dead-letters", "redrive", *position, "--value", mended.decode())
    close_windows(service, oracle, 6)
    assert BufferReader(service.engine).explain("mended").sample.query == json.loads(mended)["query"]
    assert assert_as_told(service, oracle) == 2


@pytest.mark.parametrize("count", [5_000, pytest.param(200_000, marks=pytest.mark.soak)])
def test_fuzzed_messages_are_decided_or_dead_letters_and_the_good_ones_keep_their_order(
    service: Service, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = service.start()
    oracle = Oracle(service.settings, service.topic)
    service.send(mixed(seed=5, fuzzed=count))
    close_windows(service, oracle, 3)
    assert service.said == []  # no worker ended
    assert sum(oracle.ends.values()) == count + count // 10 + 2
    until_counted(service, worker, events=sum(oracle.ends.values()), dead=len(oracle.dead))
    samples = assert_as_told(service, oracle)
    assert_in_order(service, oracle)
    with capsys.disabled():
        told = f"{len(oracle.dead)} dead letters, {samples} samples, {dict(oracle.counts)}"
        print(f"\n{sum(oracle.ends.values())} messages: {told}")


def assert_in_order(service: Service, oracle: Oracle) -> None:
    """Wherever two scores can be compared, they have the order of their impressions; none is there twice."""
    positions = oracle.positions
    latest: dict[tuple[int, int], int] = {}
    for record in published_scores(service):
        source, offset = positions[record.sample]
        way = (source, record.partition)
        assert offset > latest.get(way, -1)
        latest[way] = offset
