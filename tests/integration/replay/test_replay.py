"""Replay into a real broker: what is sent is what is there, in order, once, whatever happened in between."""

import gc
import logging
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from threading import Event, Thread, Timer

import pytest
from kafka import KafkaProducer

from datasets import open_dataset
from importance.errors import InvalidInput, NotFound, Unavailable
from importance.events import Heartbeat, decode
from importance.messages import Record
from stream.connection import KafkaConnection
from stream.recorded_topic import records_from_topic
from stream.replay import HEADER, Advance, Pace, Target, replay
from tests.integration.replay.harness import PARTITIONS, content, make_topic
from weir.local.kafka import KafkaServer

WINDOW_SECONDS = 1_800.0


def without_broker(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test in which connections are refused: kafka-python leaves such sockets to the garbage collector."""
    return pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")(pytest.mark.usefixtures("swept")(test))


@pytest.fixture
def swept(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Collect the test's garbage before another test is blamed for it; kept log records would hold on to it."""
    caplog.set_level(logging.CRITICAL, logger="kafka")
    yield
    gc.collect()


@pytest.fixture
def target(kafka: str) -> Target:
    return Target(KafkaConnection(kafka), make_topic(kafka), "simulation-0")


def simulated(count: int) -> list[Record]:
    return list(open_dataset("simulation").events(count))


def position(target: Target) -> int:
    """Where a run would go on: one that is stopped before it sends anything tells."""
    stopped = Event()
    stopped.set()
    return replay(simulated(1), target, WINDOW_SECONDS, Pace(stop=stopped)).position


def values(found: dict[int, list]) -> list[bytes]:
    return [record.value for records in found.values() for record in records if b'"heartbeat"' not in record.value]


def test_what_was_sent_is_there_in_order_with_its_event_time(target: Target) -> None:
    records = simulated(1_700)
    result = replay(records, target, WINDOW_SECONDS)
    assert result == (1_700, 1_700, True)
    found = content(target)
    assert sorted(values(found)) == sorted(record.value for record in records)
    positions = {record.value: number for number, record in enumerate(records)}
    subjects = defaultdict(set)
    for partition, stored in found.items():
        assert [positions[record.value] for record in stored[:-1]] == sorted(
            positions[record.value] for record in stored[:-1]
        )
        for record in stored[:-1]:
            subjects[record.key].add(partition)
            event = decode(record.value, record.timestamp)
            assert event.time_ms == record.timestamp
    assert all(len(where) == 1 for where in subjects.values())


def test_each_partition_ends_with_a_heartbeat_that_closes_the_last_window(target: Target) -> None:
    records = simulated(100)
    replay(records, target, WINDOW_SECONDS)
    for stored in content(target).values():
        last = decode(stored[-1].value, stored[-1].timestamp)
        assert isinstance(last, Heartbeat)
        assert last.time_ms == stored[-1].timestamp == records[-1].time_ms + 1_800_000


def test_a_second_run_sends_nothing(target: Target) -> None:
    records = simulated(700)
    replay(records, target, WINDOW_SECONDS)
    before = content(target)
    assert replay(records, target, WINDOW_SECONDS) == (700, 0, True)
    assert {key: len(stored) for key, stored in content(target).items()} == {k: len(v) for k, v in before.items()}


def test_a_longer_run_goes_on_and_ends_again(target: Target) -> None:
    records = simulated(900)
    replay(records[:600], target, WINDOW_SECONDS)
    assert replay(records, target, WINDOW_SECONDS) == (900, 300, True)
    found = content(target)
    assert sorted(values(found)) == sorted(record.value for record in records)
    assert sum(b'"heartbeat"' in record.value for stored in found.values() for record in stored) == 2 * PARTITIONS


def test_a_stopped_run_keeps_its_place(target: Target) -> None:
    records = simulated(3_000)
    stop = Event()

    def stop_at_once(advance: Advance) -> None:
        if advance.position >= 1_000:
            stop.set()

    first = replay(records, target, WINDOW_SECONDS, Pace(stop=stop), stop_at_once)
    assert not first.finished
    assert 1_000 <= first.position < 3_000
    assert position(target) <= first.position
    second = replay(records, target, WINDOW_SECONDS)
    assert second.finished
    assert first.sent + second.sent == 3_000
    assert sorted(values(content(target))) == sorted(record.value for record in records)


CHILD = """
import sys
from datasets import open_dataset
from stream.connection import KafkaConnection
from stream.replay import Target, replay
target = Target(KafkaConnection(sys.argv[1]), *sys.argv[2:4])
replay(open_dataset("simulation").events(12_000), target, 1800.0,
       progress=lambda advance: print(advance.position, flush=True))
"""


def test_a_replay_killed_again_and_again_loses_nothing_and_repeats_nothing(target: Target) -> None:
    for kill_at in (2_000, 6_000):
        child = subprocess.Popen([sys.executable, "-c", CHILD, *map(str, target)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) >= kill_at:
                child.send_signal(signal.SIGKILL)
                break
        child.wait()
        child.stdout.close()
    records = simulated(12_000)
    began_at = position(target)
    assert 0 < began_at < 12_000
    result = replay(records, target, WINDOW_SECONDS)
    assert result.finished
    stored = values(content(target))
    assert set(stored) == {record.value for record in records}
    # Only what was on its way to the broker when its sender died may come twice.
    assert len(stored) - len(records) <= 2 * 500


@without_broker
def test_a_broker_that_dies_and_comes_back_gets_everything_once(own_kafka: KafkaServer) -> None:
    target = Target(KafkaConnection(own_kafka.bootstrap), make_topic(own_kafka.bootstrap), "simulation-0")
    records = simulated(6_000)
    killed = Event()

    def kill_once(advance: Advance) -> None:
        if advance.position >= 2_000 and not killed.is_set():
            killed.set()
            own_kafka.kill()
            Thread(target=own_kafka.start).start()

    assert replay(records, target, WINDOW_SECONDS, progress=kill_once) == (6_000, 6_000, True)
    assert killed.is_set()
    assert sorted(values(content(target))) == sorted(record.value for record in records)


@without_broker
def test_a_replay_without_a_broker_stops_when_asked(own_kafka: KafkaServer) -> None:
    target = Target(KafkaConnection(own_kafka.bootstrap), make_topic(own_kafka.bootstrap), "simulation-0")
    stop = Event()

    def kill_and_stop(advance: Advance) -> None:
        if advance.position >= 1_000 and not stop.is_set():
            own_kafka.kill()
            Timer(0.5, stop.set).start()

    result = replay(simulated(6_000), target, WINDOW_SECONDS, Pace(stop=stop), kill_and_stop)
    assert not result.finished
    assert 1_000 <= result.position < 6_000
    own_kafka.start()
    assert position(target) <= result.position
    assert replay(simulated(6_000), target, WINDOW_SECONDS).finished
    assert set(values(content(target))) == {record.value for record in simulated(6_000)}


def test_no_broker_is_one_clear_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    line = rf"^Kafka at {address} does not answer \(.*\): start it, or set WEIR_KAFKA_BOOTSTRAP$"
    with pytest.raises(Unavailable, match=line):
        replay(simulated(1), Target(KafkaConnection(address), "t", "r"), WINDOW_SECONDS)
    with pytest.raises(Unavailable, match=line):
        next(records_from_topic(KafkaConnection(address), "t"))


def test_others_may_write_behind_the_replay(target: Target) -> None:
    records = simulated(1_200)
    replay(records[:600], target, WINDOW_SECONDS)
    producer = KafkaProducer(bootstrap_servers=target.connection.bootstrap)
    for number in range(4_000):
        producer.send(target.topic, b"{}", partition=number % PARTITIONS)
    producer.flush()
    producer.close()
    assert position(target) == 600
    assert replay(records, target, WINDOW_SECONDS) == (1_200, 600, True)


@pytest.mark.parametrize("mark", [b"", b"simulation-0", b"simulation-0:one:2", b"simulation-0:7:\xff", b"a:b:c:d"])
def test_a_header_that_somebody_else_wrote_is_no_mark(target: Target, mark: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=target.connection.bootstrap)
    producer.send(target.topic, b"{}", headers=[(HEADER, mark)])
    producer.close()
    assert replay(simulated(10), target, WINDOW_SECONDS) == (10, 10, True)


def test_two_replays_in_one_topic_keep_apart(target: Target) -> None:
    records = simulated(300)
    replay(records, target, WINDOW_SECONDS)
    assert replay(records, target._replace(name="simulation-1"), WINDOW_SECONDS).sent == 300


def test_a_hold_stops_the_flow_until_it_ends(target: Target) -> None:
    asked = iter([False, True, True, False])
    positions: list[int] = []
    held_at: list[int] = []

    def hold() -> bool:
        is_held = next(asked, False)
        if is_held:
            held_at.append(positions[-1])
        return is_held

    result = replay(simulated(1_200), target, WINDOW_SECONDS, Pace(hold=hold), lambda a: positions.append(a.position))
    assert result.finished
    assert held_at == [500, 500]


def test_an_unfit_topic_is_refused_in_one_line(kafka: str) -> None:
    records = simulated(1)
    with pytest.raises(NotFound, match=r"^topic nowhere does not exist: create it with weir topics$"):
        replay(records, Target(KafkaConnection(kafka), "nowhere", "r"), WINDOW_SECONDS)
    stamped = make_topic(kafka, message_timestamp_type="LogAppendTime")
    with pytest.raises(InvalidInput, match=r"message.timestamp.type=LogAppendTime; .*: set it to CreateTime$"):
        replay(records, Target(KafkaConnection(kafka), stamped, "r"), WINDOW_SECONDS)
    forgetful = make_topic(kafka, retention_ms="604800000")
    with pytest.raises(InvalidInput, match=r"retention.ms=604800000, .* records of 2011-01-01: set it to -1$"):
        replay(records, Target(KafkaConnection(kafka), forgetful, "r"), WINDOW_SECONDS)
    recent = Record(b"k", b"{}", int(time.time() * 1_000))
    assert replay([recent], Target(KafkaConnection(kafka), forgetful, "r"), WINDOW_SECONDS).finished


def test_an_empty_replay_is_finished_and_sends_nothing(target: Target) -> None:
    assert replay([], target, WINDOW_SECONDS) == (0, 0, True)
    assert not any(content(target).values())


def test_a_recorded_topic_is_replayed_as_it_was(kafka: str, target: Target) -> None:
    records = [
        *simulated(900),
        Record(None, b"\xff no event", 1_293_900_000_000, 1),
        Record(b"k", None, 1_293_900_000_001),
    ]
    replay(records, target, WINDOW_SECONDS)
    copy = Target(KafkaConnection(kafka), make_topic(kafka), "copy")
    result = replay(records_from_topic(KafkaConnection(kafka), target.topic), copy, WINDOW_SECONDS)
    assert result.sent == len(records) + PARTITIONS
    original, copied = content(target), content(copy)
    for partition in range(PARTITIONS):
        there = [(record.key, record.value, record.timestamp) for record in original[partition]]
        assert [(record.key, record.value, record.timestamp) for record in copied[partition]][: len(there)] == there


def test_a_recorded_topic_comes_in_the_order_of_its_times(kafka: str, target: Target) -> None:
    replay(simulated(800), target, WINDOW_SECONDS)
    times = [record.time_ms for record in records_from_topic(KafkaConnection(kafka), target.topic)]
    assert times == sorted(times)
