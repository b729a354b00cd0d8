"""Bytes become events by the letter of docs/events.md, or a dead letter's reason; never anything else."""

import json
import math
from fractions import Fraction
from pathlib import Path
from time import process_time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importance.errors import InvalidEvent
from importance.events import (
    ACTION_EVENTS,
    MAX_AHEAD_MS,
    PLAUSIBLE_MS,
    REASONS,
    YEAR_10000_MS,
    ActionEvent,
    Click,
    Event,
    Heartbeat,
    Impression,
    Rated,
    decode,
)
from importance.sample import Action
from tests.support.malformed import (
    KAFKA_TIME_MS,
    MALFORMED,
    TIME_MS,
    framed,
    mutations,
    nested,
    raw,
    valid_action,
    valid_heartbeat,
    valid_impression,
)

UNIT_REASONS = [("time_in_seconds", 1), ("time_in_microseconds", 10**6), ("time_in_nanoseconds", 10**9)]
DOCUMENT = Path(__file__).parents[3] / "docs" / "events.md"


def reason_of(value: bytes | None, kafka_time_ms: int = KAFKA_TIME_MS) -> str:
    with pytest.raises(InvalidEvent) as caught:
        decode(value, kafka_time_ms)
    assert str(caught.value).isprintable()
    return caught.value.reason


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_message_says_its_reason(name: str) -> None:
    value, reason = MALFORMED[name]
    assert reason_of(value) == reason


def test_the_cases_cover_every_reason() -> None:
    assert len(MALFORMED) >= 60
    of_the_join = {"late", "time_ahead_of_clock"}  # no message has them by itself
    assert {reason for _, reason in MALFORMED.values()} == set(REASONS) - of_the_join


def test_an_impression_is_read_with_all_its_fields() -> None:
    attributes: dict[str, Any] = {"category": "lighting", "price": 3.5, "stock": -(2**63), "new": True, "brand": None}
    value = valid_impression("i-1", position=3, propensity=0.25, value=9, attributes=attributes)
    assert decode(value, KAFKA_TIME_MS) == Impression(
        id="i-1",
        time_ms=TIME_MS,
        subject="s-1",
        surface="search",
        query="red lamp",
        item="p-1",
        text="A red lamp with a bell",
        position=3,
        propensity=0.25,
        value=9.0,
        attributes=attributes,
    )


@pytest.mark.parametrize("event", ACTION_EVENTS)
def test_every_kind_of_action_is_read(event: type[ActionEvent]) -> None:
    decoded = decode(valid_action("a-1", "i-1", event.kind), KAFKA_TIME_MS)
    assert type(decoded) is event
    assert isinstance(decoded, ActionEvent)
    assert (decoded.id, decoded.impression, decoded.time_ms) == ("a-1", "i-1", TIME_MS)
    assert Action(decoded.action) is Action[event.kind.upper()]


def test_a_rating_has_its_value_and_another_action_may() -> None:
    rated = decode(valid_action("a-1", "i-1", "rating", value=-2), KAFKA_TIME_MS)
    bought = decode(valid_action("a-1", "i-1", "purchase", value=9.99), KAFKA_TIME_MS)
    assert isinstance(rated, Rated)
    assert isinstance(bought, ActionEvent)
    assert (rated.value, bought.value) == (-2.0, 9.99)


def test_a_heartbeat_needs_a_type_and_a_time_only() -> None:
    assert decode(valid_heartbeat(), KAFKA_TIME_MS) == Heartbeat(time_ms=TIME_MS)
    assert decode(b'{"id": 5, "subject": "", "type": "heartbeat", "time": 0}', KAFKA_TIME_MS) == Heartbeat(time_ms=0)


@pytest.mark.parametrize(
    ("time", "expected_ms"),
    [
        (0, 0),
        (1_294_131_600_000, 1_294_131_600_000),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.0019Z", 1),  # a started millisecond is not over
        ("2011-01-04T09:00:00+00:00", 1_294_131_600_000),
        ("2011-01-04T10:00:00+01:00", 1_294_131_600_000),
        ("2011-01-04T03:30:00-05:30", 1_294_131_600_000),
        ("2011-01-04t09:00:00.25z", 1_294_131_600_250),
        ("2008-12-31T23:59:59.999-00:00", 1_230_767_999_999),
    ],
)
def test_a_time_is_milliseconds_or_rfc_3339(time: int | str, expected_ms: int) -> None:
    decoded = decode(valid_impression("i-1", time=time), KAFKA_TIME_MS + 1000)
    assert decoded.time_ms == expected_ms
    assert type(decoded.time_ms) is int


def test_a_time_may_be_five_minutes_ahead_of_kafka_and_no_more() -> None:
    last_ms = KAFKA_TIME_MS + MAX_AHEAD_MS
    assert MAX_AHEAD_MS == 300_000
    assert decode(valid_heartbeat(last_ms), KAFKA_TIME_MS).time_ms == last_ms
    assert reason_of(valid_heartbeat(last_ms + 1)) == "time_in_future"


def test_microseconds_taken_for_milliseconds_are_refused_even_when_kafka_is_reported_them_too() -> None:
    microseconds = TIME_MS * 1000
    with pytest.raises(InvalidEvent, match="it must lie before the year 10000"):
        decode(valid_heartbeat(microseconds), microseconds)
    assert decode(valid_heartbeat(YEAR_10000_MS - 1), YEAR_10000_MS).time_ms == YEAR_10000_MS - 1


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "😀" * 128},
        {"subject": "é" * 128},
        {"item": "\N{OLD ITALIC LETTER A}" * 128},
        {"query": "", "text": ""},
        {"query": "q" * 2048, "text": "\U0010ffff" * 8192},
        {"position": 2**31 - 1, "propensity": 1},
        {"propensity": 5e-324, "value": -1.7976931348623157e308},
        {"position": None, "propensity": None, "value": None},
        {"attributes": {}},
        {"attributes": {"": "", "a": 2**63 - 1, "b": 1e308}},
        {"attributes": {f"{number:😀>128}": "é" * 1024 for number in range(64)}},
        {"text": 'a backslash \\u0000, quotes " and control characters \n\t\x7f'},
        {"impression": 5, "unknown": {"deep": [[[]]]}, "ID": ""},
    ],
)
def test_what_the_table_allows_is_accepted(fields: dict[str, Any]) -> None:
    for escaped in (False, True):
        value = valid_impression("i-1", **fields)
        if escaped:
            value = json.dumps(json.loads(value)).encode()
        decoded = decode(value, KAFKA_TIME_MS)
        assert isinstance(decoded, Impression)
        known = {name: fields[name] for name in fields if name in Impression.__struct_fields__}
        assert {name: getattr(decoded, name) for name in known} == known


def test_thirty_two_levels_are_not_too_deep_nor_are_brackets_in_strings() -> None:
    assert decode(nested(32), KAFKA_TIME_MS)
    assert decode(valid_impression("i-1", text='[{"' * 1000), KAFKA_TIME_MS)
    assert decode(raw("extra", "[" + ", ".join(["[]"] * 1000) + "]"), KAFKA_TIME_MS)


def test_surrogate_pairs_and_escaped_backslashes_are_characters() -> None:
    decoded = decode(raw("text", r'"\ud83d\ude00 \\u0000 \\\\ud800 é \/"'), KAFKA_TIME_MS)
    assert isinstance(decoded, Impression)
    assert decoded.text == r"😀 \u0000 \\ud800 é /"


def test_of_a_repeated_field_the_last_counts() -> None:
    decoded = decode(raw("id", '"i-2"'), KAFKA_TIME_MS)
    assert isinstance(decoded, Impression)
    assert decoded.id == "i-2"


def test_the_order_of_fields_does_not_matter() -> None:
    value = valid_impression("i-1", position=1)
    turned = json.dumps(dict(reversed(json.loads(value).items()))).encode()
    assert decode(turned, KAFKA_TIME_MS) == decode(value, KAFKA_TIME_MS)


def test_an_event_cannot_be_changed() -> None:
    event = decode(valid_heartbeat(), KAFKA_TIME_MS)
    with pytest.raises(AttributeError):
        event.time_ms = 5  # type: ignore[misc] # this is the point


def test_events_are_made_without_work_for_the_garbage_collector() -> None:
    kinds = (Event, Impression, Heartbeat, *ACTION_EVENTS)
    assert not any(kind.__struct_config__.gc for kind in kinds)


json_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["impression", "click"])
)
json_values = json_scalars | st.lists(json_scalars, max_size=2) | st.dictionaries(st.text(max_size=5), json_scalars)
fields = st.sampled_from(
    sorted({"type", "time", "extra", *Impression.__struct_fields__, *Rated.__struct_fields__} - {"time_ms"})
)


def decodes_or_says_why(value: bytes, kafka_time_ms: int = KAFKA_TIME_MS) -> Event | None:
    """The event, or None for a dead letter with a known reason; anything else fails the test."""
    try:
        return decode(value, kafka_time_ms)
    except InvalidEvent as invalid:
        error = invalid
    assert error.reason in REASONS
    assert str(error).isprintable()
    assert str(error)
    return None


def is_storable(event: Event) -> bool:
    """Whether Postgres takes every string and JSON every number."""
    values = msgspec.structs.asdict(event)
    attributes = values.pop("attributes", {})
    scalars = [*values.values(), *attributes, *attributes.values()]
    text = "".join(scalar for scalar in scalars if isinstance(scalar, str))
    numbers = [scalar for scalar in scalars if isinstance(scalar, int | float)]
    return "\0" not in text and bool(text.encode() or True) and all(map(math.isfinite, numbers))


@given(st.binary())
def test_no_bytes_raise_anything_else(value: bytes) -> None:
    decodes_or_says_why(value)


@given(st.dictionaries(fields, json_values), st.sampled_from(["impression", "rating", "click", "heartbeat"]))
@settings(max_examples=300)
def test_no_json_raises_anything_else(changed: dict[str, Any], kind: str) -> None:
    base = valid_impression("i-1") if kind == "impression" else valid_action("a-1", "i-1", kind)
    event = decodes_or_says_why(json.dumps({**json.loads(base), **changed}).encode())
    assert event is None or is_storable(event)


def test_no_mutation_of_a_good_message_raises_anything_else() -> None:
    events = [decodes_or_says_why(value) for value in mutations(seed=0, count=20_000)]
    good = [event for event in events if event is not None]
    assert 500 < len(good) < 10_000  # the fuzzing reaches both sides
    assert all(map(is_storable, good))


def test_what_is_accepted_is_json_by_another_reader_too() -> None:
    for value in mutations(seed=1, count=5_000):
        event = decodes_or_says_why(value)
        if event is not None:
            assert json.loads(value)["type"] == event.kind


times = st.integers() | st.integers(0, YEAR_10000_MS) | st.sampled_from([10**power for power in range(20)])


@settings(max_examples=500)
@given(times, times)
def test_any_pair_of_times_is_judged(time_ms: int, kafka_time_ms: int) -> None:
    value = json.dumps({"type": "heartbeat", "time": time_ms}).encode()
    within = 0 <= time_ms <= kafka_time_ms + MAX_AHEAD_MS and time_ms < YEAR_10000_MS
    near = {
        unit: abs(Fraction(time_ms) * in_ms - kafka_time_ms) <= PLAUSIBLE_MS
        for unit, in_ms in {
            "ms": Fraction(1),
            "s": Fraction(1000),
            "µs": Fraction(1, 1000),
            "ns": Fraction(1, 10**6),
        }.items()
    }
    other_unit = not near.pop("ms") and any(near.values())
    assert (decodes_or_says_why(value, kafka_time_ms) is not None) == (within and not other_unit)


@given(st.integers(KAFKA_TIME_MS, 2 * KAFKA_TIME_MS), st.integers(0, 19 * 31_557_600), st.sampled_from(UNIT_REASONS))
def test_a_time_of_the_last_years_in_another_unit_has_its_own_reason(now: int, ago: int, unit: tuple[str, int]) -> None:
    reason, per_second = unit
    value = valid_heartbeat((now // 1000 - ago) * per_second)
    assert reason_of(value, now) == reason
    assert decode(valid_heartbeat((now // 1000 - ago) * 1000), now)


def test_a_time_in_words_has_no_unit_to_be_wrong_about() -> None:
    assert decode(valid_heartbeat("1970-01-15T23:00:00Z"), KAFKA_TIME_MS).time_ms == 1_292_400_000


def test_json_in_a_registrys_frame_is_read_like_plain_json() -> None:
    for value in (valid_impression("i-1", text="Lampe à poser 😀"), valid_action("a-1", "i-1"), valid_heartbeat()):
        for schema in (0, 7, 0x7B000000, 0xFFFFFFFF):
            assert decode(framed(value, schema), KAFKA_TIME_MS) == decode(value, KAFKA_TIME_MS)
            assert decode(framed(b"\n " + value, schema), KAFKA_TIME_MS) == decode(value, KAFKA_TIME_MS)


@pytest.mark.parametrize(
    "value",
    [
        b'"' + rb"\"" * 500_000,
        b'"\\' * 500_000,
        b"{" * 1_000_000,
        b"[]" * 500_000,
        b'{"a":"' + rb"\\" * 500_000,
        rb"\u0041" * 200_000,
        rb"\ud83d" * 200_000,
        b'{"type":"heartbeat","time":' + b"9" * 1_000_000 + b"}",
    ],
    ids=lambda value: repr(value[:12]),
)
@pytest.mark.timeout(20)
def test_a_megabyte_made_to_be_slow_is_judged_in_linear_time(value: bytes) -> None:
    assert reason_of(value)


def test_a_frame_costs_no_more_to_judge_the_longer_it_is() -> None:
    def seconds(fields: int) -> float:
        value = framed(b"\0" + b"\x08\x01" * fields)
        began = process_time()
        assert reason_of(value) == "protobuf_framed"
        return process_time() - began

    shortest = min(seconds(10_000) for _ in range(3))
    assert seconds(5_000_000) < 100 * shortest  # to copy it; 500 times, were it all read


def test_message_indexes_without_end_are_not_followed() -> None:
    assert reason_of(framed(b"\xfe\xff\xff\xff\x0f" + b"\0" * 1_000_000)) == "avro_framed"


def test_a_click_is_read_the_same_whichever_way_its_time_is_written() -> None:
    written = decode(valid_action("a-1", "i-1", time="2011-01-04T09:00:00Z"), KAFKA_TIME_MS)
    assert written == decode(valid_action("a-1", "i-1"), KAFKA_TIME_MS)
    assert isinstance(written, Click)


def test_the_document_names_every_field_type_and_reason() -> None:
    text = DOCUMENT.read_text()
    structs = (Impression, Heartbeat, *ACTION_EVENTS)
    fields = {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)}
    kinds = {struct.kind for struct in structs}
    missing = [word for word in sorted({"type", *fields, *kinds, *REASONS}) if f"`{word}`" not in text]
    assert missing == []


def test_the_document_gives_every_reason_its_meaning() -> None:
    rows = {line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")}
    assert [reason for reason, meaning in REASONS.items() if f"| `{reason}` | {meaning} |" not in rows] == []
