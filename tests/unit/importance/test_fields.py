"""A message of another form is the same event once its fields are mapped; a mapping that makes no sense is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importance.attribution import Policy, replay_partition
from importance.errors import InvalidEvent, InvalidInput
from importance.events import ACTION_EVENTS, Event, Heartbeat, Impression, Interaction, Rated, decode
from importance.fields import NAMES, WORDS, Fields
from tests.support.malformed import (
    KAFKA_TIME_MS,
    MALFORMED,
    framed,
    message,
    mutations,
    valid_action,
    valid_heartbeat,
    valid_impression,
)

SHOP = (
    "id=event_id, type=event, type.view=impression, type.buy=purchase, subject=user.id, impression=shown in, "
    "surface.home=recommendation, query=search.phrase, item=item.sku, text=item.title, time=at, attributes=more.props"
)


def mapping(text: str) -> Fields:
    fields = Fields.parse(text)
    assert fields is not None
    return fields


def in_shop_form(event: dict[str, Any]) -> dict[str, Any]:
    """The same event as the shop of ``SHOP`` writes it, with more fields than anybody reads."""
    moved: dict[str, Any] = {"id": -1, "subject": [], "user": {"name": "Ann"}, "item": {}, "search": {}, "more": {}}
    words = {"impression": "view", "purchase": "buy"}
    paths = {
        "id": ("event_id",), "type": ("event",), "subject": ("user", "id"), "impression": ("shown in",),
        "query": ("search", "phrase"), "item": ("item", "sku"), "text": ("item", "title"), "time": ("at",),
        "attributes": ("more", "props"),
    }  # fmt: skip
    for name, value in event.items():
        at = moved
        path = paths.get(name, (name,))
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
    moved["event"] = words.get(event["type"], event["type"])
    if event.get("surface") == "recommendation":
        moved["surface"] = "home"
    return moved


def outcome(value: bytes, fields: Fields | None = None) -> Event | str:
    try:
        return decode(value, KAFKA_TIME_MS, fields)
    except InvalidEvent as error:
        return error.reason


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9)
)
changes = st.dictionaries(
    st.sampled_from(sorted({*NAMES} - {"type", "id"})),
    scalars | st.dictionaries(st.text(max_size=3), scalars, max_size=3),
)
kinds = st.sampled_from([*WORDS["type"], "view of ours"])


@given(kinds, changes, st.sampled_from([*WORDS["surface"], "email"]), st.booleans())
@settings(max_examples=500)
def test_a_message_of_another_form_is_the_same_event_or_has_the_same_reason(
    kind: str, changed: dict[str, Any], surface: str, escaped: bool
) -> None:
    shown = {"id": "i-1", "type": kind, "surface": surface, **json.loads(valid_impression("x"))}
    event = {**shown, "impression": "i-0", "value": 4, **changed, "id": "i-1", "type": kind, "surface": surface}
    integers_as_ids = any(type(changed.get(name)) is int for name in ("subject", "impression", "item"))
    ours, theirs = (
        json.dumps(each, ensure_ascii=escaped).encode("utf-8", "surrogatepass") for each in (event, in_shop_form(event))
    )
    if not integers_as_ids:
        first, second = outcome(ours), outcome(theirs, mapping(SHOP))
        several_faults = isinstance(first, str) and isinstance(second, str)
        assert first == second or several_faults


def test_a_message_of_our_own_form_is_read_with_a_mapping_as_without() -> None:
    fields = mapping(SHOP)
    for value in (valid_impression("i-1"), valid_action("a-1", "i-1", "rating"), valid_heartbeat()):
        own = json.loads(value)
        if isinstance(own.get("item"), str):
            with pytest.raises(InvalidEvent):  # `item` is an object for this shop
                decode(value, KAFKA_TIME_MS, fields)
            fields = mapping("id=event_id, subject=user.id, time.seconds=ts, type.view=impression, surface='ad'")
        assert decode(value, KAFKA_TIME_MS, fields) == decode(value, KAFKA_TIME_MS)


def test_the_join_makes_the_same_samples_of_another_form_and_none_of_it_without_the_mapping() -> None:
    events = [json.loads(valid_impression(f"i-{number}", time=KAFKA_TIME_MS + number)) for number in range(20)]
    events += [json.loads(valid_action(f"a-{number}", f"i-{number}", "purchase")) for number in range(0, 20, 3)]
    ours = [(offset, KAFKA_TIME_MS, message(event)) for offset, event in enumerate(events)]
    theirs = [(offset, KAFKA_TIME_MS, message(in_shop_form(event))) for offset, event in enumerate(events)]
    policy = Policy(window_ms=1_000, deduplication_ms=1_000)
    mapped = msgspec.structs.replace(policy, fields=mapping(SHOP))
    until_ms = KAFKA_TIME_MS + 10_000
    expected = replay_partition(ours, policy, until_ms=until_ms)
    assert len(expected.samples) == 20
    assert replay_partition(theirs, mapped, until_ms=until_ms) == expected
    assert len(replay_partition(theirs, policy, until_ms=until_ms).dead) == len(events)


def test_whatever_the_bytes_nothing_but_a_reason_is_raised() -> None:
    fields = mapping("id=event_id, subject=user.id, type.click=purchase, time.seconds=time, text=text, query='q'")
    found = [outcome(value, fields) for value in mutations(seed=3, count=5_000)]
    found += [outcome(value or b"", fields) for value, _ in MALFORMED.values()]
    assert any(isinstance(each, str) for each in found)


def test_what_is_wrong_with_the_bytes_is_said_of_the_original() -> None:
    fields = mapping(SHOP)
    cases = ("bytes that are not UTF-8", "33 levels", "plain text", "an array", "U+0000 in an unknown field")
    for name in cases:
        value, reason = MALFORMED[name]
        assert outcome(value or b"", fields) == reason


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        ("time.seconds", {1_294_131_600: 1_294_131_600_000, 1_294_131_599.9999: 1_294_131_599_999}),
        ("time.microseconds", {1_294_131_599_999_999: 1_294_131_599_999}),
        ("time.nanoseconds", {1_294_131_599_999_999_999: 1_294_131_599_999}),
        ("time", {"2011-01-04T09:00:00Z": 1_294_131_600_000}),
        ("time.seconds", {"2011-01-04T09:00:00Z": 1_294_131_600_000}),
    ],
)
def test_a_time_is_read_in_its_unit(written: str, milliseconds: dict[Any, int]) -> None:
    fields = mapping(f"{written}=ts")
    for number, expected in milliseconds.items():
        assert outcome(message({"type": "heartbeat", "ts": number}), fields) == Heartbeat(time_ms=expected)


@pytest.mark.parametrize(
    ("time", "reason"), [("9" * 5000, "out_of_range"), ("1e9", "wrong_type"), ("-1", "time_before_1970")]
)
def test_a_time_that_is_none_keeps_its_reason(time: str, reason: str) -> None:
    assert outcome(b'{"type": "heartbeat", "ts": %b}' % time.encode(), mapping("time.seconds=ts")) == reason


def test_an_integer_is_an_id_at_a_mapped_path_only() -> None:
    value = valid_action("a-1", "i-1", subject=..., user={"id": 17850})
    assert decode(value, KAFKA_TIME_MS, mapping("subject=user.id")) == decode(
        valid_action("a-1", "i-1", subject="17850"), KAFKA_TIME_MS
    )
    assert outcome(valid_action("a-1", "i-1", subject=5), mapping("id=event_id, time=at")) == "wrong_type"


def test_attributes_are_gathered_and_what_is_absent_stays_absent() -> None:
    fields = mapping("attributes.category=item.category, attributes.new one=item.new, item=item.sku")
    event = decode(valid_impression("i-1", item={"sku": "p-1", "category": "lighting"}), KAFKA_TIME_MS, fields)
    assert isinstance(event, Impression)
    assert (event.item, event.attributes) == ("p-1", {"category": "lighting"})


def test_a_text_stands_in_only_where_the_message_has_none() -> None:
    fields = mapping("id=event_id, surface='search', query=''")
    bare = valid_impression("x", id=..., event_id="i-1", surface=..., query=...)
    full = valid_impression("x", id=..., event_id="i-1", surface="ad", query="lamp")
    for value, expected in ((bare, ("search", "")), (full, ("ad", "lamp"))):
        event = decode(value, KAFKA_TIME_MS, fields)
        assert isinstance(event, Impression)
        assert (event.surface, event.query) == expected


def test_a_null_parent_is_an_absent_value_and_another_type_is_wrong() -> None:
    fields = mapping("id=event_id, text=item.title, item=item.sku")
    click = {"type": "click", "time": KAFKA_TIME_MS, "subject": "s", "impression": "i", "event_id": "a"}
    assert isinstance(outcome(message({**click, "item": None}), fields), Interaction)
    assert outcome(message({**click, "item": "lamp"}), fields) == "wrong_type"
    assert outcome(message({**click, "event_id": ...}), fields) == "missing_field"


def test_a_framed_message_is_mapped_too() -> None:
    value = valid_impression("x", id=..., event_id="i-1")
    assert outcome(framed(value), mapping("id=event_id")) == outcome(valid_impression("i-1"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id", "'id' is not FIELD=PATH"),
        ("id=", "'id=' is not FIELD=PATH"),
        ("id.=x", "'id.=x' is not FIELD=PATH"),
        ("ID=event_id", "names an unknown field; it must be one of id, type"),
        ("subject=user..id", "'user..id' is not a path"),
        ("subject.id=user", "subject has no parts"),
        ("type.view=shown", "'shown' is an unknown type; it must be one of impression, click"),
        ("surface.x=email", "'email' is an unknown surface"),
        ("type.view=click, type.view=impression", "gives type.view a second meaning"),
        ("time.hours=ts", "'hours' is an unknown unit; it must be one of seconds"),
        ("id=a, id=b", "gives id a second path"),
        ("time=a, time.seconds=b", "gives time a second path"),
        ("item=item, text=item.title", "text=item.title lies inside item=item"),
        ("attributes=a, attributes.b=c", "attributes and attributes.NAME are both mapped"),
        ("position='1'", "'TEXT' in quotes is for one of"),
        ("surface='email'", "'email' is an unknown surface"),
        ("query='lamp", "'TEXT' in quotes is for one of"),
        ("query='a', query='b'", "gives query a second text"),
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace(".", r"\.")) as caught:
        Fields.parse(text)
    assert "\n" not in str(caught.value)


def test_no_text_is_no_mapping() -> None:
    assert Fields.parse("") is None
    assert Fields.parse(" , ") is None


def test_the_mapping_knows_every_field_and_word_of_an_event() -> None:
    structs = (Impression, Heartbeat, *ACTION_EVENTS)
    names = {field.encode_name for struct in (Impression, Rated) for field in msgspec.structs.fields(struct)}
    assert {*NAMES} == {"type", *names}
    assert {*WORDS["type"]} == {struct.kind for struct in structs}
