"""``weir replay FILE`` into a real broker: old events into a topic that is far ahead; each impression is decided."""

import json
import random
import secrets
import time
from pathlib import Path

import pyarrow as pa
import pytest
from kafka import KafkaProducer
from pyarrow import parquet

from importance.attribution import Join, Policy, Progress
from importance.decisions import Decisions
from importance.events import Heartbeat, decode
from stream.connection import KafkaConnection
from stream.dead_letters import is_backfill
from stream.replay import Target
from tests.integration.replay.harness import PARTITIONS, content, make_topic
from tests.support.malformed import valid_impression
from weir import settings
from weir.cli import run

WINDOW_MS = 1_800_000
DAY_MS = 86_400_000


@pytest.fixture
def target(kafka: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Target:
    """The commands' topic, as a managed Kafka has it: it keeps a week, by the broker's or the producer's clock."""
    prefix = f"backfill-{secrets.token_hex(4)}."
    for name in settings.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WEIR_KAFKA_BOOTSTRAP", kafka)
    monkeypatch.setenv("WEIR_TOPIC_PREFIX", prefix)
    monkeypatch.chdir(tmp_path)
    limits = {"retention_ms": str(7 * DAY_MS), "message_timestamp_before_max_ms": str(DAY_MS)}
    return Target(KafkaConnection(kafka), make_topic(kafka, f"{prefix}interactions", **limits), "")


def recorded(impressions: int, now_ms: int) -> list[dict[str, object]]:
    """Impressions of a month ago, every other one with a click a minute later, in any order."""
    events: list[dict[str, object]] = []
    for number in range(impressions):
        at_ms, subject = now_ms - 30 * DAY_MS + number * 60_000, f"s-{number % 17}"
        events.append(
            {"id": f"i{number}", "type": "impression", "time": at_ms, "subject": subject, "surface": "search",
             "query": "lamp", "item": f"p{number % 5}", "text": "A lamp"}
        )  # fmt: skip
        if number % 2:
            click = {"id": f"c{number}", "type": "click", "subject": subject, "impression": f"i{number}"}
            events.append({**click, "time": at_ms + 60_000})
    random.Random(1).shuffle(events)
    return events


def send_live(target: Target, now_ms: int) -> None:
    """An impression of now on each partition: event time is a month ahead of the file."""
    producer = KafkaProducer(bootstrap_servers=target.connection.bootstrap)
    for partition in range(PARTITIONS):
        producer.send(target.topic, valid_impression(f"live-{partition}", time=now_ms), partition=partition)
    producer.close()


def decided(stored: list, wall_ms: int) -> Decisions:
    """What a worker makes of a partition once event time has gone on for a window."""
    join = Join(Policy(window_ms=WINDOW_MS, deduplication_ms=WINDOW_MS), 0, Progress.beginning(0))
    records = [(record.offset, record.timestamp, record.value) for record in stored]
    late_on_purpose = {record.offset for record in stored if is_backfill(record.headers)}
    decisions = join.feed(0, stored[-1].offset + 1, records, wall_ms, late_on_purpose)
    decisions.extend(join.advance(wall_ms + 2 * WINDOW_MS))
    return decisions


def assert_sent_as_backfill(stored: list, now_ms: int) -> None:
    """In order of event time, at the wall clock, with a heartbeat for each of the two runs that sent something."""
    assert all(is_backfill(record.headers) and record.timestamp >= now_ms for record in stored)
    events = [decode(record.value, record.timestamp) for record in stored]
    times = [event.time_ms for event in events if not isinstance(event, Heartbeat)]
    assert times == sorted(times)
    assert len(events) - len(times) == 2


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_each_impression_of_an_old_file_is_decided_once_however_often_it_is_sent(
    target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str], suffix: str
) -> None:
    now_ms = int(time.time() * 1_000)
    send_live(target, now_ms)
    events, file = recorded(60, now_ms), tmp_path / f"events{suffix}"
    if suffix == ".jsonl":
        file.write_text("".join(json.dumps(event) + "\n" for event in events))
    else:
        names = dict.fromkeys(name for event in events for name in event)
        parquet.write_table(pa.table({name: [event.get(name) for event in events] for name in names}), file)

    assert run(["replay", str(file), "--limit", "40", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"position": 40, "sent": 40, "finished": True}
    for sent in (50, 0):  # run again, it continues; and again, it has nothing to do
        file = file.rename(tmp_path / f"moved-{sent}{suffix}")
        assert run(["replay", str(file), "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"position": 90, "sent": sent, "finished": True}

    found = content(target)
    by_id = {str(event["id"]): event for event in events}
    for stored in found.values():
        assert_sent_as_backfill(stored[1:], now_ms)
    decisions = [decided(stored, now_ms) for stored in found.values()]
    assert not any(each.dead or each.late for each in decisions)
    samples = {sample.id: sample for each in decisions for sample in each.samples if sample.id in by_id}
    assert sorted(samples) == sorted(f"i{number}" for number in range(60))
    assert all(sample.time_ms == by_id[name]["time"] for name, sample in samples.items())
    assert all(bool(samples[f"i{number}"].actions) == bool(number % 2) for number in range(60))


def test_a_file_with_a_fault_sends_nothing(target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(valid_impression("i1") + b"\n" + b'{"id": "i2"}\n')
    assert run(["replay", str(file)]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith(f"weir: {file}, line 2 is not an event (missing_field: ")
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert not any(content(target).values())


def test_a_recent_file_ends_with_heartbeats_that_no_clock_refuses(target: Target, tmp_path: Path) -> None:
    now_ms = int(time.time() * 1_000)
    (tmp_path / "events.jsonl").write_bytes(valid_impression("i1", time=now_ms) + b"\n")
    assert run(["replay", "events.jsonl"]) == 0
    for stored in content(target).values():
        last = decode(stored[-1].value, stored[-1].timestamp)
        assert isinstance(last, Heartbeat)
        assert now_ms <= last.time_ms <= stored[-1].timestamp
