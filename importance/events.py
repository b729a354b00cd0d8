"""What an event is: bytes in, a checked value out, or the reason why not. Independent of Kafka, order and state.

The fields are those of docs/events.md. A message is decoded once, by msgspec, straight into frozen structs; nothing but
:class:`InvalidEvent` is ever raised, whatever the bytes.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import msgspec
from msgspec import Meta

from importance.errors import InvalidEvent
from importance.fields import Fields
from importance.framing import unframed
from importance.sample import Action

MAX_AHEAD_MS: Final = 5 * 60 * 1000
"""How far an event's time may lie past its record's Kafka timestamp: clocks differ, but not by more."""

YEAR_10000_MS: Final = 253_402_300_800_000  # the last millisecond of the calendar

PLAUSIBLE_MS: Final = 20 * 31_557_600_000
"""20 years: a number further from the Kafka timestamp that comes within it in another unit is a time in that unit."""

_UNITS: Final = (("seconds", 1000, 1), ("microseconds", 1, 1000), ("nanoseconds", 1, 1_000_000))

MAX_ATTRIBUTES: Final = 64
MAX_ATTRIBUTE_NAME: Final = 128
MAX_ATTRIBUTE_TEXT: Final = 1024
"""Code points of an attribute's string."""

MAX_DEPTH: Final = 32
"""How deep objects and arrays may nest; the message itself is level 1."""

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "null_value": "the record has no value",
        "not_utf8": "the bytes are not UTF-8",
        "not_json": "the bytes are not one JSON text",
        "avro_framed": "a schema registry's frame holds Avro: write plain JSON, or use its JSON Schema serializer",
        "protobuf_framed": "a schema registry's frame holds Protobuf: write JSON, or use its JSON Schema serializer",
        "not_object": "the JSON text is not an object",
        "too_deep": "objects and arrays nest past 32 levels",
        "nul_character": "a string holds U+0000",
        "lone_surrogate": "a string holds half a surrogate pair",
        "missing_field": "a required field is absent",
        "wrong_type": "a field has another JSON type than the table allows",
        "empty": "an id is the empty string",
        "too_long": "a string has more code points than the table allows",
        "too_many": "`attributes` has more than 64 members",
        "not_finite": "a number is infinite, not a number, or too large for 64-bit floating point",
        "out_of_range": "a number lies outside its range",
        "unknown_type": "`type` names no kind of event",
        "unknown_surface": "`surface` is none of search, recommendation, ad",
        "bad_time": "`time` is a string, but not an RFC 3339 time",
        "time_without_offset": "`time` has no offset from UTC",
        "time_in_seconds": "`time` is a number of seconds, judged by the record's Kafka timestamp; write milliseconds",
        "time_in_microseconds": "`time` is a number of microseconds, judged the same way; write milliseconds",
        "time_in_nanoseconds": "`time` is a number of nanoseconds, judged the same way; write milliseconds",
        "time_before_1970": "`time` lies before 1970",
        "time_in_future": "`time` lies more than 5 minutes past the record's Kafka timestamp, or past the year 9999",
        "time_ahead_of_clock": "`time` and Kafka timestamp lie more than 5 minutes past the worker's clock, "
        "rounded down to 10 seconds",
        "late": "an impression that event time has passed by more than the horizon, or an action that answers one",
    }
)
"""Every reason of a dead letter, and what it means: stable words, for metrics and headers."""

SURFACES: Final = ("search", "recommendation", "ad")

Id = Annotated[str, Meta(min_length=1, max_length=128)]
# The sample is stored as 32- and 64-bit integers; a number past them would be refused there, long after the stream.
Position = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Name = Annotated[str, Meta(max_length=MAX_ATTRIBUTE_NAME)]
Scalar = (
    Annotated[str, Meta(max_length=MAX_ATTRIBUTE_TEXT)]
    | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
    | float
    | bool
    | None
)

if TYPE_CHECKING:
    Time = int
else:
    # The form that msgspec accepts; decode() converts the datetime to milliseconds.
    Time = int | Annotated[datetime, Meta(tz=True)]


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What all events have: a time, in milliseconds since the epoch. ``kind`` is the word in ``type``.

    (``gc=False``: events hold no cycles.)
    """

    kind: ClassVar[str]
    time_ms: Time = msgspec.field(name="time")


class Heartbeat(Event, frozen=True, kw_only=True, gc=False, tag="heartbeat"):
    """Moves the event time of its partition, and is nothing else."""

    kind = "heartbeat"


class Interaction(Event, frozen=True, kw_only=True, gc=False):
    """What impressions and actions have in common."""

    id: Id
    subject: Id
    position: Position | None = None
    propensity: Annotated[float, Meta(gt=0, le=1)] | None = None
    value: float | None = None
    attributes: Annotated[dict[Name, Scalar], Meta(max_length=MAX_ATTRIBUTES)] = {}


class Impression(Interaction, frozen=True, kw_only=True, gc=False, tag="impression"):
    """An item was shown to a subject; it waits for the actions that answer it."""

    kind = "impression"
    surface: Literal["search", "recommendation", "ad"]
    query: Annotated[str, Meta(max_length=2048)]
    item: Id
    text: Annotated[str, Meta(max_length=8192)]


class ActionEvent(Interaction, frozen=True, kw_only=True, gc=False):
    """A subject answered an impression. ``action`` is the bit of its kind."""

    action: ClassVar[int]
    impression: Id


class Click(ActionEvent, frozen=True, kw_only=True, gc=False, tag="click"):
    """The item was viewed."""

    action = Action.CLICK.value
    kind = "click"


class AddToCart(ActionEvent, frozen=True, kw_only=True, gc=False, tag="add_to_cart"):
    """The item was put into the cart."""

    action = Action.ADD_TO_CART.value
    kind = "add_to_cart"


class Purchase(ActionEvent, frozen=True, kw_only=True, gc=False, tag="purchase"):
    """The item was bought."""

    action = Action.PURCHASE.value
    kind = "purchase"


class Return(ActionEvent, frozen=True, kw_only=True, gc=False, tag="return"):
    """The item was returned: cancels a purchase at any time."""

    action = Action.RETURN.value
    kind = "return"


class Rated(ActionEvent, frozen=True, kw_only=True, gc=False, tag="rating"):
    """The item was rated: the only action whose ``value`` is required."""

    action = Action.RATING.value
    kind = "rating"
    value: float


ACTION_EVENTS: Final = (Click, AddToCart, Purchase, Return, Rated)

_decode: Callable[[bytes], Impression | ActionEvent | Heartbeat] = msgspec.json.Decoder(
    Impression | Click | AddToCart | Purchase | Return | Rated | Heartbeat
).decode

# The start of msgspec's message, and the reason it means. Only the start: what follows may quote the sender.
_STARTS: Final = (
    ("Object missing", "missing_field"),
    ("Invalid enum value", "unknown_surface"),
    ("Invalid value", "unknown_type"),
    ("Invalid RFC3339", "bad_time"),
    ("Expected `datetime` with", "time_without_offset"),
    ("Expected `str` of length >=", "empty"),
    ("Expected `str` of length <=", "too_long"),
    ("Expected `object` of length <=", "too_many"),
    ("Number out of range", "not_finite"),
    ("Integer value out of range", "out_of_range"),
    ("Expected `int` <", "out_of_range"),
    ("Expected `int` >", "out_of_range"),
    ("Expected `float` <", "out_of_range"),
    ("Expected `float` >", "out_of_range"),
)

# A string, or what is left of the message when it does not end: so the scan is linear on every input.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_SQUARE_BRACKET, _BACKSLASH = b"[\\"
_BRACKETS = re.compile(rb"[\[\]{}]")
# The longest prefix in which every \u escape is a character. Other escapes are left to the decoder.
_GOOD_ESCAPES = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?!0000|[dD][89a-fA-F])|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+",
    re.DOTALL,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def decode(
    value: bytes | None, kafka_time_ms: int, fields: Fields | None = None
) -> Impression | ActionEvent | Heartbeat:
    """Return the event that a record's value holds. Raises :class:`InvalidEvent` for whatever is none.

    ``fields`` maps the fields of a message of another format to those of an event.

    >>> decode(b'{"type": "heartbeat", "time": "2011-01-04T10:00:00+01:00"}', kafka_time_ms=1_700_000_000_000)
    Heartbeat(time_ms=1294131600000)
    """
    if value is None:
        raise InvalidEvent("null_value", "the record has no value; an event is one JSON object")
    if value[:1] == b"\0":
        value = unframed(value)
    if not value.isascii():
        _check_utf8(value)
    # Most messages have no array; and looking for one byte, given as its number, takes nanoseconds.
    if value.count(b"{") + (value.count(b"[") if _SQUARE_BRACKET in value else 0) > MAX_DEPTH:
        _check_depth(value)
    if _BACKSLASH in value:
        _check_escapes(value)
    try:
        event = _decode(value if fields is None else fields.rewrite(value))
    except msgspec.ValidationError as error:
        raise InvalidEvent(_reason(str(error)), _one_line(str(error))) from None
    except msgspec.DecodeError as error:
        raise InvalidEvent(_reason_of_bad_json(value, str(error)), _one_line(str(error))) from None
    time_ms = event.time_ms
    if time_ms.__class__ is not int:
        time_ms = _milliseconds(time_ms)
        msgspec.structs.force_setattr(event, "time_ms", time_ms)  # still ours alone, so still frozen for others
        _check_time(time_ms, kafka_time_ms)
    elif not -PLAUSIBLE_MS <= time_ms - kafka_time_ms <= MAX_AHEAD_MS or not 0 <= time_ms < YEAR_10000_MS:
        _check_unit(time_ms, kafka_time_ms)
        _check_time(time_ms, kafka_time_ms)
    return event


def _milliseconds(moment: object) -> int:
    assert isinstance(moment, datetime)
    return (moment - _EPOCH) // _MILLISECOND


def _check_unit(number: int, kafka_time_ms: int) -> None:
    """Refuse a number that is far from the Kafka timestamp as milliseconds, and near to it in another unit."""
    if abs(number - kafka_time_ms) <= PLAUSIBLE_MS:
        return
    for unit, times, divided_by in _UNITS:
        if abs(number * times - kafka_time_ms * divided_by) <= PLAUSIBLE_MS * divided_by:
            raise InvalidEvent(f"time_in_{unit}", f"time is {number}; that seems to be {unit}: write milliseconds")


def _check_time(time_ms: int, kafka_time_ms: int) -> None:
    if time_ms < 0:
        raise InvalidEvent("time_before_1970", f"time is {time_ms} ms; it must not lie before 1970")
    shown = time_ms if time_ms < 2**63 else "past 64 bits"  # str() of a huge integer can itself fail
    if time_ms >= YEAR_10000_MS:
        raise InvalidEvent("time_in_future", f"time is {shown} ms; it must lie before the year 10000: milliseconds?")
    bound = kafka_time_ms + MAX_AHEAD_MS
    if time_ms > bound:
        raise InvalidEvent("time_in_future", f"time is {shown} ms; 5 minutes past the Kafka timestamp is {bound}")


def _check_utf8(value: bytes) -> None:
    """Check the whole message: msgspec checks the strings it keeps, not those it skips."""
    try:
        value.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent("not_utf8", f"byte {error.start} is not UTF-8; an event is UTF-8 JSON") from None


def _check_depth(value: bytes) -> None:
    depth = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", value)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise InvalidEvent("too_deep", f"objects and arrays nest deeper than {MAX_DEPTH} levels")


def _check_escapes(value: bytes) -> None:
    match = _GOOD_ESCAPES.match(value)
    end = match.end() if match else 0
    if value.startswith(b"\\u0000", end):
        raise InvalidEvent("nul_character", f"byte {end} starts with \\u0000; strings must not hold U+0000")
    if re.match(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}", value[end : end + 6]):
        raise InvalidEvent("lone_surrogate", f"byte {end} starts half a surrogate pair; strings hold whole characters")


def _reason(message: str) -> str:
    for start, reason in _STARTS:
        if message.startswith(start):
            return reason
    return "wrong_type" if " - at `$" in message else "not_object"


def _reason_of_bad_json(value: bytes, message: str) -> str:
    """Return the reason: ``not_finite`` for the common ``NaN`` and ``Infinity``, else ``not_json``."""
    found = re.search(r"\(byte (\d+)\)$", message)
    if found and value.startswith((b"NaN", b"Infinity"), int(found[1])):
        return "not_finite"
    return "not_json"


def _one_line(message: str) -> str:
    """Return the text printable, since it may quote the sender."""
    return "".join(character if character.isprintable() else "?" for character in message)[:200]
