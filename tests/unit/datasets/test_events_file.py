"""A file of events: sorted by time, one name for the same events, refused as a whole where it holds anything else."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from datasets.events_file import open_events
from importance.errors import InvalidInput
from importance.events import Click, Impression, decode
from importance.fields import Fields
from tests.support.malformed import valid_action, valid_heartbeat, valid_impression
from weir.cli import run

NOW_MS = 1_700_000_000_000
OLD_MS = NOW_MS - 86_400_000


def read(file: Path, mapping: str = "") -> tuple[str, list[tuple[bytes | None, bytes | None, int]]]:
    """The file's name as a replay, and its records: key, value, time."""
    with open_events(file, Fields.parse(mapping), NOW_MS) as events:
        records = [(record.key, record.value, record.time_ms) for record in events.records()]
        assert len(records) == events.count
        return events.name, records


def written(file: Path, *lines: bytes) -> Path:
    file.write_bytes(b"\n".join(lines) + b"\n")
    return file


def rows(file: Path, *events: dict[str, Any]) -> Path:
    names = dict.fromkeys(name for event in events for name in event)
    parquet.write_table(pa.table({name: [event.get(name) for event in events] for name in names}), file)
    return file


SHOWN = {"type": "impression", "subject": "ann", "surface": "search", "query": "lamp", "item": "p", "text": "A lamp"}


def test_events_come_by_time_and_at_one_time_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = [
        valid_action("a1", "i1", time=OLD_MS + 5),
        b"",
        valid_impression("i1", time=OLD_MS + 5),
        valid_impression("i2", time=OLD_MS),
        valid_heartbeat(OLD_MS + 9),  # of a partition that is not known
    ]
    _, records = read(written(tmp_path / "e.jsonl", *lines))
    assert [value for _, value, _ in records] == [lines[3], lines[0], lines[2]]  # byte for byte
    assert [time_ms - OLD_MS for _, _, time_ms in records] == [0, 5, 5]
    assert {key for key, _, _ in records} == {json.loads(lines[2])["subject"].encode()}


def test_the_name_is_of_what_the_events_are(tmp_path: Path) -> None:
    one, two = valid_impression("i1", time=OLD_MS), valid_impression("i2", time=OLD_MS)
    name, _ = read(written(tmp_path / "one.jsonl", one, two))
    assert read(written(tmp_path / "moved.jsonl", b"", one, b"  " + two))[0] == name
    assert read(written(tmp_path / "swapped.jsonl", two, one))[0] != name
    assert read(written(tmp_path / "shorter.jsonl", one))[0] != name


def test_a_shops_own_messages_are_read_by_its_mapping_and_stay_as_they_are(tmp_path: Path) -> None:
    line = b'{"event": "i1", "who": 7, "ts": 1690000000, "what": "view", "q": "lamp", "sku": 3, "title": "A lamp"}'
    mapping = (
        "id=event, subject=who, time.seconds=ts, type=what, type.view=impression, surface='search', query=q, item=sku, "
        "text=title"
    )
    assert read(written(tmp_path / "e.jsonl", line), mapping)[1] == [(b"7", line, 1_690_000_000_000)]


@pytest.mark.parametrize("time", [OLD_MS, datetime.fromtimestamp(OLD_MS / 1_000, UTC), "2023-11-13T22:13:20Z"])
@pytest.mark.parametrize(
    "attributes", [{"price": 3.5, "sold": True}, '{"price": 3.5, "sold": true}'], ids=["struct", "text"]
)
def test_a_row_of_parquet_is_an_event(tmp_path: Path, time: Any, attributes: Any) -> None:
    shown = {**SHOWN, "id": "i1", "time": time, "attributes": attributes, "position": 2.0, "value": None}
    clicked = {"id": "a1", "type": "click", "time": time, "subject": "ann", "impression": "i1"}
    _, records = read(rows(tmp_path / "e.parquet", shown, clicked))
    impression, click = (decode(value, NOW_MS) for _, value, _ in records)
    assert isinstance(impression, Impression)
    assert (impression.time_ms, impression.position) == (OLD_MS, 2)
    assert impression.attributes == {"price": 3.5, "sold": True}
    assert isinstance(click, Click)
    assert click.impression == "i1"


def test_maps_dictionaries_and_nanoseconds_are_read(tmp_path: Path) -> None:
    table = pa.table({
        **{name: [value] for name, value in SHOWN.items()},
        "id": pa.array(["i1"]).dictionary_encode(),
        "time": pa.array([OLD_MS * 1_000_000 + 999_999], pa.timestamp("ns", "Europe/Berlin")),
        "attributes": pa.array([[("colour", "red")]], pa.map_(pa.string(), pa.string())),
    })  # fmt: skip
    parquet.write_table(table, tmp_path / "e.parquet")
    event = decode(read(tmp_path / "e.parquet")[1][0][1], NOW_MS)
    assert isinstance(event, Impression)
    assert (event.id, event.time_ms, event.attributes) == ("i1", OLD_MS, {"colour": "red"})


GOOD = valid_impression("good", time=OLD_MS)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([GOOD, b"", b"{"], r"line 3 is not an event \(not_json: .*\); nothing was sent: correct or remove them$"),
        ([b"[]", GOOD, b"{}", b"7"], r"line 1 is not an event \(not_object: .*\), nor are 2 others; nothing was sent"),
        ([valid_impression("i", time=NOW_MS + 300_001)], r"line 1 is not an event \(time_in_future: "),
        ([valid_impression("i", time=1_600_000_000)], r"line 1 is not an event \(time_in_seconds: "),
        ([GOOD[:-1] + b', "more": "' + b"x" * 1_000_000 + b'"}'], r"line 1 is not an event \(too_long: it has 1,000,"),
        ([valid_heartbeat(OLD_MS)], r"e.jsonl has no events; nothing was sent$"),
        ([b" ", b""], r"e.jsonl has no events; nothing was sent$"),
    ],
    ids=["no json", "several", "future", "seconds", "long", "heartbeats", "blank"],
)
def test_a_file_with_anything_else_is_refused_before_the_first_event(
    tmp_path: Path, lines: list[bytes], complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint) as error:
        read(written(tmp_path / "e.jsonl", *lines))
    assert "\n" not in str(error.value)


def test_what_is_wrong_with_a_row_of_parquet_is_said(tmp_path: Path) -> None:
    naive = {**SHOWN, "id": "i1", "time": datetime(2023, 1, 1)}  # no offset is the point
    with pytest.raises(InvalidInput, match=r"row 1 is not an event \(time_without_offset: "):
        read(rows(tmp_path / "e.parquet", naive))
    twice = pa.array([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int64()))
    parquet.write_table(pa.table({"id": ["i1"], "attributes": twice}), tmp_path / "twice.parquet")
    with pytest.raises(
        InvalidInput, match=r"twice.parquet cannot be read as Parquet of events after row 0; it is damaged"
    ):
        read(tmp_path / "twice.parquet")
    with pytest.raises(InvalidInput, match=r"cannot be read as Parquet of events after row 0; it is damaged"):
        read(written(tmp_path / "none.parquet", b"{}"))


@pytest.mark.parametrize("name", ["absent.jsonl", "empty.jsonl", "events.csv"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InvalidInput, match=name):
        read(tmp_path / name)


def test_a_disk_without_room_is_one_line(tmp_path: Path) -> None:
    file = written(tmp_path / "e.jsonl", GOOD)
    with open_events(file, None, NOW_MS) as events:
        events._database.set_progress_handler(lambda: 1, 1)  # as good as a disk that is full: sqlite gives up
        with pytest.raises(Exception, match=r"^events cannot be sorted on disk \(interrupted\): free space"):
            list(events.records())
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        list(events.records())


def test_an_unknown_source_says_what_can_be_replayed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIR_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    assert run(["replay", "simulaton"]) == 2
    assert "'simulaton' is unknown; replay one of complete_journey," in capsys.readouterr().err
    assert run(["replay", "absent.jsonl"]) == 2
    assert capsys.readouterr().err == (
        "weir: there is no file absent.jsonl: name a .jsonl or .parquet file of events\n"
    )
