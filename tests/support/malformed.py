"""Messages that are no events, each with the reason of its dead letter; builders of good ones; and fuzzed ones.

Every case holds for any Kafka timestamp from 2011-01-04 on that a clock of this millennium gives.
"""

import json
import random
from collections.abc import Iterator
from typing import Any

TIME_MS = 1_294_131_600_000
"""2011-01-04T09:00:00Z: the time of a built event, unless another is given."""

KAFKA_TIME_MS = TIME_MS
"""A Kafka timestamp that suits it."""


def valid_impression(event_id: str, /, *, time: Any = TIME_MS, **fields: Any) -> bytes:
    """An impression with all required fields; ``fields`` replace or add others, and ``...`` leaves one out."""
    shown = {"surface": "search", "query": "red lamp", "item": "p-1", "text": "A red lamp with a bell"}
    return message({"id": event_id, "type": "impression", "time": time, "subject": "s-1", **shown, **fields})


def valid_action(
    event_id: str, impression: str, kind: str = "click", /, *, time: Any = TIME_MS, **fields: Any
) -> bytes:
    """An action that answers ``impression``; a rating has the value 4 unless another is given."""
    value = {"value": 4} if kind == "rating" else {}
    event = {"id": event_id, "type": kind, "time": time, "subject": "s-1", "impression": impression}
    return message({**event, **value, **fields})


def valid_heartbeat(time: int | str = TIME_MS) -> bytes:
    """What moves event time, and is nothing else."""
    return message({"type": "heartbeat", "time": time})


def message(fields: dict[str, Any]) -> bytes:
    """UTF-8 JSON, without the fields that are ``...``."""
    return json.dumps({name: value for name, value in fields.items() if value is not ...}, ensure_ascii=False).encode()


def raw(field: str, literal: str) -> bytes:
    """An impression with one more field, or one field again, whose value is written as it is: the last one counts."""
    return valid_impression("i-1")[:-1] + f', "{field}": {literal}}}'.encode("utf-8", "surrogatepass")


def framed(body: bytes, schema: int = 0xFFE00007) -> bytes:
    """The body as a schema registry's serializers frame it; no schema id makes the whole anything but that."""
    return b"\0" + schema.to_bytes(4, "big") + body


def nested(levels: int) -> bytes:
    """An impression that is ``levels`` deep, itself included."""
    return raw("extra", "[" * (levels - 1) + "]" * (levels - 1))


_GOOD = valid_impression("i-1")

MALFORMED: dict[str, tuple[bytes | None, str]] = {
    # no value, no text, no JSON
    "a tombstone": (None, "null_value"),
    "no bytes": (b"", "not_json"),
    "white space": (b" \n\t ", "not_json"),
    "bytes that are not UTF-8": (b"\xff\xfe\xfa", "not_utf8"),
    "Latin-1 in a text": (valid_impression("i-1", text="café").replace("é".encode(), b"\xe9"), "not_utf8"),
    "Latin-1 in an unknown field": (raw("extra", '"?"').replace(b"?", b"\xe9"), "not_utf8"),
    "an overlong UTF-8 form of U+0000": (_GOOD.replace(b"A red", b"\xc0\x80"), "not_utf8"),
    "a surrogate in UTF-8 bytes": (_GOOD.replace(b"A red", b"\xed\xa0\x80"), "not_utf8"),
    "UTF-16": (_GOOD.decode().encode("utf-16"), "not_utf8"),
    "UTF-16 without a mark": (_GOOD.decode().encode("utf-16-le"), "not_json"),
    "a byte order mark": (b"\xef\xbb\xbf" + _GOOD, "not_json"),
    "plain text": (b"hello", "not_json"),
    "comma-separated values": (b"i-1,impression,1294131600000,s-1", "not_json"),
    "a cut message": (_GOOD[: len(_GOOD) // 2], "not_json"),
    "a message without its last brace": (_GOOD[:-1], "not_json"),
    "one brace too many": (_GOOD + b"}", "not_json"),
    "two messages in one": (_GOOD + b"\n" + _GOOD, "not_json"),
    "a trailing comma": (_GOOD[:-1] + b",}", "not_json"),
    "single quotes": (_GOOD.replace(b'"', b"'"), "not_json"),
    "a name without quotes": (b"{type: 1}", "not_json"),
    "a comment": (_GOOD[:-1] + b"/* shown */}", "not_json"),
    "a leading zero": (raw("position", "01"), "not_json"),
    "a letter in a number": (raw("position", "2x1"), "not_json"),
    "a bad escape": (raw("query", r'"\x41"'), "not_json"),
    "a cut escape": (raw("query", r'"\u12"'), "not_json"),
    "a line break in a string": (raw("query", '"red\nlamp"'), "not_json"),
    "a raw zero byte in a string": (raw("query", '"red\0lamp"'), "not_json"),
    "a zero byte after the message": (_GOOD + b"\0", "not_json"),
    # framed by a schema registry
    "Avro in a frame": (framed(b"\x06i-1\x14impression\x02\x06s-1\x00"), "avro_framed"),
    "Avro that begins with a null in a frame": (framed(b"\x00\x06i-1\x02"), "avro_framed"),
    "Protobuf in a frame": (framed(b"\x00\x0a\x03i-1\x12\x0aimpression\x18\x80\x01"), "protobuf_framed"),
    "Protobuf of a nested type in a frame": (framed(b"\x04\x02\x00\x0a\x03i-1\x25\0\0\0\0"), "protobuf_framed"),
    "a JSON array in a frame": (framed(b"[1]"), "not_object"),
    "cut JSON in a frame": (framed(_GOOD[:-1]), "not_json"),
    "a frame of nothing": (framed(b""), "not_json"),
    "a cut frame": (b"\0\0\0", "not_json"),
    "compressed bytes": (b"\x1f\x8b\x08\x00" + bytes(range(128)), "not_utf8"),
    # JSON, but no object
    "null": (b"null", "not_object"),
    "true": (b"true", "not_object"),
    "a number": (b"42", "not_object"),
    "a string": (b'"impression"', "not_object"),
    "an array": (b"[" + _GOOD + b"]", "not_object"),
    # too deep
    "33 levels": (nested(33), "too_deep"),
    "33 levels of objects": (raw("extra", '{"a":' * 32 + "1" + "}" * 32), "too_deep"),
    "a hundred thousand brackets": (b"[" * 100_000, "too_deep"),
    "deep attributes": (raw("attributes", '{"a":' * 40 + "1" + "}" * 40), "too_deep"),
    "deep behind a string of quotes and brackets": (
        raw("extra", r'"]]\"]]\\"')[:-1] + b',"more":' + b"[" * 40 + b"]" * 40 + b"}",
        "too_deep",
    ),
    # strings that cannot be stored
    "U+0000 in a text": (raw("text", r'"a\u0000b"'), "nul_character"),
    "U+0000 in an id": (raw("id", r'"\u0000"'), "nul_character"),
    "U+0000 in an attribute": (raw("attributes", r'{"a": "\u0000"}'), "nul_character"),
    "U+0000 in an attribute's name": (raw("attributes", r'{"\u0000": 1}'), "nul_character"),
    "U+0000 in an unknown field": (raw("extra", r'["\\\u0000"]'), "nul_character"),
    "half a surrogate pair": (raw("text", r'"\ud83d"'), "lone_surrogate"),
    "the other half": (raw("text", r'"\ude00"'), "lone_surrogate"),
    "a surrogate pair the wrong way round": (raw("text", r'"\ude00\ud83d"'), "lone_surrogate"),
    "half a pair before a character": (raw("text", r'"\ud83d\u0041"'), "lone_surrogate"),
    "half a pair in an attribute": (raw("attributes", r'{"a": "\uDBFF"}'), "lone_surrogate"),
    "half a pair in an unknown field": (raw("extra", r'"\ud800"'), "lone_surrogate"),
    # fields that are absent
    "an empty object": (b"{}", "missing_field"),
    **{
        f"no {field}": (valid_impression("i-1", **{field: ...}), "missing_field")
        for field in ("id", "type", "time", "subject", "surface", "query", "item", "text")
    },
    "an id in capitals": (_GOOD.replace(b'"id"', b'"ID"'), "missing_field"),
    "an action without its impression": (valid_action("a-1", "i-1", impression=...), "missing_field"),
    "an action without id": (valid_action("a-1", "i-1", id=...), "missing_field"),
    "a rating without value": (valid_action("a-1", "i-1", "rating", value=...), "missing_field"),
    "a heartbeat without time": (b'{"type": "heartbeat"}', "missing_field"),
    # fields of another type
    "a number as id": (raw("id", "7"), "wrong_type"),
    "null as id": (raw("id", "null"), "wrong_type"),
    "an array as subject": (raw("subject", '["s-1"]'), "wrong_type"),
    "an object as text": (raw("text", '{"en": "lamp"}'), "wrong_type"),
    "null as query": (raw("query", "null"), "wrong_type"),
    "a number as type": (b'{"type": 1, "time": 1}', "wrong_type"),
    "null as type": (b'{"type": null, "time": 1}', "wrong_type"),
    "a number as surface": (raw("surface", "1"), "wrong_type"),
    "a fraction as time": (raw("time", "1294131600000.5"), "wrong_type"),
    "a float as time": (raw("time", "1.2941316e12"), "wrong_type"),
    "true as time": (raw("time", "true"), "wrong_type"),
    "null as time": (raw("time", "null"), "wrong_type"),
    "a string as position": (raw("position", '"1"'), "wrong_type"),
    "a fraction as position": (raw("position", "1.5"), "wrong_type"),
    "true as position": (raw("position", "true"), "wrong_type"),
    "a string as propensity": (raw("propensity", '"0.5"'), "wrong_type"),
    "true as propensity": (raw("propensity", "true"), "wrong_type"),
    "a string as value": (raw("value", '"9.99"'), "wrong_type"),
    "true as a rating's value": (valid_action("a-1", "i-1", "rating", value=True), "wrong_type"),
    "null as a rating's value": (valid_action("a-1", "i-1", "rating", value=None), "wrong_type"),
    "a number as the impression of an action": (valid_action("a-1", "i-1", impression=5), "wrong_type"),
    "an array as attributes": (raw("attributes", "[]"), "wrong_type"),
    "null as attributes": (raw("attributes", "null"), "wrong_type"),
    "an array in attributes": (raw("attributes", '{"a": [1]}'), "wrong_type"),
    "an object in attributes": (raw("attributes", '{"a": {"b": 1}}'), "wrong_type"),
    # strings that are empty or too long, counted in code points
    "an empty id": (raw("id", '""'), "empty"),
    "an empty subject": (raw("subject", '""'), "empty"),
    "an empty item": (raw("item", '""'), "empty"),
    "an action that answers the empty id": (valid_action("a-1", ""), "empty"),
    "an id of 129": (valid_impression("i" * 129), "too_long"),
    "an id of 129 emoji": (valid_impression("😀" * 129), "too_long"),
    "a subject of 129": (raw("subject", f'"{"s" * 129}"'), "too_long"),
    "an item of 129": (raw("item", f'"{"p" * 129}"'), "too_long"),
    "an action's impression of 129": (valid_action("a-1", "i" * 129), "too_long"),
    "a query of 2,049": (raw("query", f'"{"q" * 2049}"'), "too_long"),
    "a text of 8,193": (raw("text", f'"{"t" * 8193}"'), "too_long"),
    "an attribute of 1,025": (raw("attributes", f'{{"a": "{"v" * 1025}"}}'), "too_long"),
    "an attribute's name of 129": (raw("attributes", f'{{"{"n" * 129}": 1}}'), "too_long"),
    "65 attributes": (valid_action("a-1", "i-1", attributes={str(number): None for number in range(65)}), "too_many"),
    # numbers
    "NaN": (raw("propensity", "NaN"), "not_finite"),
    "Infinity": (raw("value", "Infinity"), "not_finite"),
    "minus Infinity": (raw("value", "-Infinity"), "not_finite"),
    "NaN in attributes": (raw("attributes", '{"a": NaN}'), "not_finite"),
    "1e999": (raw("value", "1e999"), "not_finite"),
    "1e999 in attributes": (raw("attributes", '{"a": 1e999}'), "not_finite"),
    "an integer of 400 digits as value": (raw("value", "9" * 400), "not_finite"),
    "position 0": (raw("position", "0"), "out_of_range"),
    "position -1": (raw("position", "-1"), "out_of_range"),
    "a position past 32 bits": (raw("position", "2147483648"), "out_of_range"),
    "a position of 5,000 digits": (raw("position", "9" * 5000), "out_of_range"),
    "propensity 0": (raw("propensity", "0"), "out_of_range"),
    "propensity -0.1": (raw("propensity", "-0.1"), "out_of_range"),
    "propensity 1.01": (raw("propensity", "1.01"), "out_of_range"),
    "a propensity that rounds to 0": (raw("propensity", "1e-400"), "out_of_range"),
    "an attribute past 64 bits": (raw("attributes", '{"a": 9223372036854775808}'), "out_of_range"),
    "an attribute of 5,000 digits": (raw("attributes", f'{{"a": {"9" * 5000}}}'), "out_of_range"),
    "a time of 5,000 digits": (raw("time", "9" * 5000), "out_of_range"),
    # words
    "an unknown type": (raw("type", '"view"').replace(b'"type": "impression", ', b""), "unknown_type"),
    "a type in capitals": (_GOOD.replace(b'"impression"', b'"Impression"'), "unknown_type"),
    "an empty type": (_GOOD.replace(b'"impression"', b'""'), "unknown_type"),
    "two types": (raw("type", '"click"'), "unknown_type"),
    "an unknown surface": (raw("surface", '"email"'), "unknown_surface"),
    "an empty surface": (raw("surface", '""'), "unknown_surface"),
    "a surface that reads like an error": (raw("surface", '"Object missing"'), "unknown_surface"),
    # times
    "a date": (raw("time", '"2011-01-04"'), "bad_time"),
    "an empty time": (raw("time", '""'), "bad_time"),
    "milliseconds in quotes": (raw("time", '"1294131600000"'), "bad_time"),
    "a time in words": (raw("time", '"yesterday"'), "bad_time"),
    "30 February": (raw("time", '"2011-02-30T00:00:00Z"'), "bad_time"),
    "25 o'clock": (raw("time", '"2011-01-04T25:00:00Z"'), "bad_time"),
    "an offset of 24 hours": (raw("time", '"2011-01-04T00:00:00+24:00"'), "bad_time"),
    "a time without offset": (raw("time", '"2011-01-04T09:00:00"'), "time_without_offset"),
    "a millisecond before 1970": (raw("time", "-1"), "time_before_1970"),
    "1969 in words": (raw("time", '"1969-12-31T23:59:59.999Z"'), "time_before_1970"),
    "1969 by its offset": (raw("time", '"1970-01-01T00:59:59+01:00"'), "time_before_1970"),
    "the year 1": (raw("time", '"0001-01-01T00:00:00+23:59"'), "time_before_1970"),
    "the year 3000": (raw("time", '"3000-01-01T00:00:00Z"'), "time_in_future"),
    "the year 9999": (raw("time", '"9999-12-31T23:59:59-23:59"'), "time_in_future"),
    "seconds": (raw("time", "1294131600"), "time_in_seconds"),
    "microseconds": (raw("time", "1294131600000000"), "time_in_microseconds"),
    "nanoseconds": (raw("time", "1294131600000000000"), "time_in_nanoseconds"),
    "an action in seconds": (valid_action("a-1", "i-1", time=TIME_MS // 1000), "time_in_seconds"),
    "a time of 30 digits": (raw("time", "9" * 30), "time_in_future"),
    "a heartbeat in the year 3000": (valid_heartbeat("3000-01-01T00:00:00Z"), "time_in_future"),
    "an action without offset": (valid_action("a-1", "i-1", time="2011-01-04T09:00:00"), "time_without_offset"),
}
"""By name: the value, and the reason of its dead letter."""

_SEEDS = (
    valid_impression("i-1", position=1, propensity=0.5, attributes={"category": "lighting", "price": 3.5, "new": None}),
    valid_impression("i-2", time="2011-01-04T09:00:00+00:00", text="Lampe à poser 😀"),
    valid_action("a-1", "i-1"),
    valid_action("a-2", "i-1", "purchase", value=9.99),
    valid_action("a-3", "i-2", "rating", time="2011-01-04T10:00:00.5+01:00"),
    valid_heartbeat(),
)
_SPLINTERS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\0", b"\xff", b"\xed\xa0\x80", b"\n", b"-", b"e", b"9" * 400),
    *(
        b"\\u0000",
        b"\\ud800",
        b"\\udc00",
        b"\\u00e9",
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"1e-999",
        b"0",
    ),
    *(b"[" * 40, b'{"a":' * 40, b'"type"', b'"rating"', b'"time"', b'"2011-01-04T09:00:00"', b"9223372036854775808"),
)


def mutations(seed: int, count: int) -> Iterator[bytes]:
    """Fuzzed messages, the same for the same seed. A few of them are events still."""
    random_source = random.Random(seed)
    for _ in range(count):
        value = bytearray(random_source.choice(_SEEDS))
        for _ in range(random_source.randint(1, 3)):
            _mutate(value, random_source)
        yield bytes(value)


def _mutate(value: bytearray, random_source: random.Random) -> None:
    begin = random_source.randint(0, len(value))
    end = min(len(value), begin + random_source.randint(1, 12))
    match random_source.randrange(7):
        case 0:  # other bytes
            value[begin:end] = random_source.randbytes(end - begin)
        case 1:  # a splinter between
            value[begin:begin] = random_source.choice(_SPLINTERS)
        case 2:  # a splinter in place of a part
            value[begin:end] = random_source.choice(_SPLINTERS)
        case 3:  # a part twice
            value[begin:begin] = value[begin:end]
        case 4:  # a part gone
            del value[begin:end]
        case 5:  # a JSON value in place of another
            colon = value.find(b": ", begin)
            stop = value.find(b", ", colon)
            if 0 <= colon < stop:
                value[colon + 2 : stop] = random_source.choice(_SPLINTERS)
        case 6:  # the rest gone
            del value[begin:]
