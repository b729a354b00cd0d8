"""Map the fields of a shop's own JSON to those of an event: a message becomes one with our names.

A mapping is a list such as ``id=event_id, subject=user.id, type.view=impression``; docs/events.md describes it. JSON
text is copied as it was written and not judged: the result is read like any other message. Independent of events.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final, NamedTuple, Self

import msgspec
from msgspec import Raw

from importance.errors import InvalidInput

NAMES: Final = (
    *("id", "type", "time", "subject", "impression", "surface", "query", "item", "text"),
    *("position", "propensity", "value", "attributes"),
)
"""The fields of an event."""

WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "type": ("impression", "click", "add_to_cart", "purchase", "return", "rating", "heartbeat"),
    "surface": ("search", "recommendation", "ad"),
}
UNITS: Final[Mapping[str, Decimal]] = {
    "seconds": Decimal(1000),
    "microseconds": Decimal("0.001"),
    "nanoseconds": Decimal("0.000001"),
}
"""Milliseconds in one unit of a time."""

_IDS: Final = frozenset(("id", "subject", "impression", "item"))
_TEXTS: Final = frozenset(("query", "text", *_IDS, *WORDS))
_INTEGER: Final = re.compile(rb"-?\d+")
_NUMBER: Final = re.compile(rb"-?\d{1,30}(\.\d{1,30})?")  # what is longer is not a time
_NOTHING: Final = Raw(b"")

_Path = tuple[str, ...]
_Edit = Callable[[bytes], bytes]


class Mapped(NamedTuple):
    """One field of the result: where its value is found, what is done to its text, and the text where it is absent."""

    name: str
    path: _Path
    edit: _Edit
    default: bytes = b""

    @property
    def key(self) -> bytes:
        """Return the name as JSON writes it in front of a value."""
        return msgspec.json.encode(self.name) + b":"


class Fields:
    """A mapping of fields, ready to rewrite messages.

    >>> fields = Fields.parse("id=event_id, subject=user.id, type.view=impression")
    >>> fields.rewrite(b'{"event_id": "i1", "user": {"id": 7}, "type": "view", "price": 3}')
    b'{"id":"i1","type":"impression","subject":"7"}'
    """

    def __init__(self, fields: list[Mapped], attributes: list[Mapped], required: frozenset[_Path]) -> None:
        paths = dict.fromkeys(mapped.path for mapped in (*fields, *attributes))
        self._decode = msgspec.json.Decoder(_struct((), paths)).decode
        self._fields = [(each.key, _steps(each.path), each.edit, each.default) for each in fields]
        self._attributes = [(each.key, _steps(each.path)) for each in attributes]
        self._required = [_steps(path) for path in required]

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a mapping, None from an empty text; raises :class:`InvalidInput` for one that cannot be meant."""
        entries = _Entries()
        for entry in filter(None, map(str.strip, text.split(","))):
            entries.add(entry)
        if entries.empty:
            return None
        entries.refuse_values_inside_values()
        attributes = [
            Mapped(target.partition(".")[2], path, _as_it_is)
            for target, path in entries.paths.items()
            if target.startswith("attributes.")
        ]
        fields = [entries.mapped(name) for name in NAMES if not (attributes and name == "attributes")]
        return cls([field for field in fields if field.path], attributes, frozenset(entries.paths.values()))

    def rewrite(self, value: bytes) -> bytes:
        """Return the message with its fields where an event has them; as it is if none of the mapped paths is in it.

        Raises what msgspec raises for a text that is not a JSON object.
        """
        message = self._decode(value)
        if self._required and not any(_text(message, steps) for steps in self._required):
            return value
        parts = []
        for key, steps, edit, default in self._fields:
            text = _text(message, steps)
            if text or default:
                parts.append(key + (edit(text) if text else default))
        if self._attributes:
            texts = [(key, _text(message, steps)) for key, steps in self._attributes]
            parts.append(b'"attributes":{%b}' % b",".join(key + text for key, text in texts if text))
        return b"{%b}" % b",".join(parts)


class _Entries:
    """The entries of a mapping, collected one by one."""

    def __init__(self) -> None:
        self.paths: dict[str, _Path] = {}
        self._defaults: dict[str, bytes] = {}
        self._words: dict[str, dict[str, str]] = {}
        self._milliseconds: Decimal | None = None

    @property
    def empty(self) -> bool:
        """Return whether the mapping is empty."""
        return not (self.paths or self._defaults or self._words)

    def add(self, entry: str) -> None:
        """Take one entry; raises :class:`InvalidInput`."""
        left, _, right = (part.strip() for part in entry.partition("="))
        name, dot, detail = left.partition(".")
        if not right or (dot and not detail):
            raise InvalidInput(f"{entry!r} is not FIELD=PATH: write for example id=event_id")
        if name not in NAMES:
            raise InvalidInput(f"{entry!r} names an unknown field; it must be one of {', '.join(NAMES)}")
        if detail and name in WORDS:
            self._add_word(entry, name, detail, right)
        elif right.startswith("'"):
            self._add_default(entry, left, right)
        else:
            self._add_path(entry, name, detail, right)

    def _add_word(self, entry: str, name: str, word: str, ours: str) -> None:
        if ours not in WORDS[name]:
            raise InvalidInput(f"{entry!r}: {ours!r} is an unknown {name}; it must be one of {', '.join(WORDS[name])}")
        if self._words.setdefault(name, {}).setdefault(word, ours) != ours:
            raise InvalidInput(f"{entry!r} gives {name}.{word} a second meaning; leave one of them")

    def _add_default(self, entry: str, name: str, quoted: str) -> None:
        text = quoted[1:-1]
        if name not in _TEXTS or len(quoted) < 2 or not quoted.endswith("'") or "'" in text:
            raise InvalidInput(f"{entry!r}: 'TEXT' in quotes is for one of {', '.join(sorted(_TEXTS))}")
        if text not in WORDS.get(name, (text,)):
            raise InvalidInput(f"{entry!r}: {text!r} is an unknown {name}; it must be one of {', '.join(WORDS[name])}")
        if self._defaults.setdefault(name, msgspec.json.encode(text)) != msgspec.json.encode(text):
            raise InvalidInput(f"{entry!r} gives {name} a second text; leave one of them")

    def _add_path(self, entry: str, name: str, detail: str, path: str) -> None:
        target = f"{name}.{detail}" if detail and name == "attributes" else name
        if name == "time" and detail:
            if detail not in UNITS:
                raise InvalidInput(f"{entry!r}: {detail!r} is an unknown unit; it must be one of {', '.join(UNITS)}")
            self._milliseconds = UNITS[detail]
        elif detail and target == name:
            raise InvalidInput(f"{entry!r}: {name} has no parts; write {name}={path}")
        if target in self.paths:
            raise InvalidInput(f"{entry!r} gives {target} a second path; leave one of them")
        self.paths[target] = tuple(path.split("."))
        if not all(self.paths[target]):
            raise InvalidInput(f"{entry!r}: {path!r} is not a path; write names with single dots between, as user.id")

    def refuse_values_inside_values(self) -> None:
        """Raise :class:`InvalidInput` where a mapped value lies inside another one."""
        if "attributes" in self.paths and any(target.startswith("attributes.") for target in self.paths):
            raise InvalidInput("attributes and attributes.NAME are both mapped; leave one of them")
        mapped = {path: target for target, path in self.paths.items()}
        for path, target in mapped.items():
            for depth in range(1, len(path)):
                if path[:depth] in mapped:
                    outer = f"{mapped[path[:depth]]}={'.'.join(path[:depth])}"
                    raise InvalidInput(f"{target}={'.'.join(path)} lies inside {outer}; map only one of them")

    def mapped(self, name: str) -> Mapped:
        """Return how a field is found: at its mapped path, else at its own name if that holds no other mapped value."""
        inner = {path[:depth] for path in self.paths.values() for depth in range(1, len(path))}
        own: _Path = () if (name,) in inner else (name,)
        return Mapped(name, self.paths.get(name, own), self._edit(name), self._defaults.get(name, b""))

    def _edit(self, name: str) -> _Edit:
        if name in self._words:
            return partial(
                _translated, {msgspec.json.encode(theirs): ours for theirs, ours in self._words[name].items()}
            )
        if name == "time" and self._milliseconds is not None:
            return partial(_milliseconds, self._milliseconds)
        return _id if name in _IDS and name in self.paths else _as_it_is


def _as_it_is(text: bytes) -> bytes:
    return text


def _id(text: bytes) -> bytes:
    """Quote an integer, which is common as an id: an id is a string."""
    return b'"%b"' % text if _INTEGER.fullmatch(text) else text


def _translated(words: Mapping[bytes, str], text: bytes) -> bytes:
    ours = words.get(text) or words.get(msgspec.json.encode(msgspec.json.decode(text)))  # it may be escaped
    return text if ours is None else msgspec.json.encode(ours)


def _milliseconds(unit: Decimal, text: bytes) -> bytes:
    """Round down to a whole millisecond; a text that is not a decimal number stays as it is."""
    if not _NUMBER.fullmatch(text):
        return text
    return str(int((Decimal(text.decode()) * unit).to_integral_value("ROUND_FLOOR"))).encode()


def _struct(prefix: _Path, paths: Mapping[_Path, None]) -> Any:
    """Return a struct of the fields below ``prefix``: its leaves are unparsed JSON, which is copied as written."""
    depth = len(prefix)
    names = dict.fromkeys(path[depth] for path in paths if len(path) > depth and path[:depth] == prefix)
    fields: list[tuple[str, Any, Any]] = []
    for name in names:
        leaf = (*prefix, name) in paths
        kind = Raw if leaf else _struct((*prefix, name), paths) | None
        default = _NOTHING if leaf else None
        fields.append((_attribute(name), kind, msgspec.field(name=name, default=default)))
    return msgspec.defstruct("Message", fields, frozen=True, gc=False)


def _attribute(name: str) -> str:
    """Return a Python name for any name in JSON."""
    return f"x{name.encode().hex()}"


def _steps(path: _Path) -> tuple[str, ...]:
    return tuple(map(_attribute, path))


def _text(message: Any, steps: tuple[str, ...]) -> bytes:
    """Return the JSON text at the end of the steps; empty if there is none."""
    for step in steps:
        message = getattr(message, step, None)
    return b"" if message is None else bytes(message)
