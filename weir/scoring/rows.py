"""Validate the rows of a file to be scored. An invalid row raises `InvalidInput` with its number."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from datasets.layout import Layout
from datasets.table_files import HOLDS_NUL, NUL, Raw, is_missing, label_of
from importance.errors import InvalidInput
from importance.sample import Action, Sample

NEEDED: Final = ("query", "text")
COLUMNS: Final = (*NEEDED, "label", "id")
LONGEST: Final = {"query": 2_048, "text": 8_192, "id": 128}
"""Characters, as in the events."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a file in order; a label is None where there is none."""

    ids: list[str]
    queries: list[str]
    texts: list[str]
    labels: list[int | None]

    def samples(self) -> list[Sample]:
        """Return the rows as samples; a purchase is positive for every value of WEIR_POSITIVE_FROM."""
        return [
            Sample(id_, "", "search", query, "", text, 0, 0, 0, actions=int(Action.PURCHASE if label else Action.NONE))
            for id_, query, text, label in zip(self.ids, self.queries, self.texts, self.labels, strict=True)
        ]


def check_columns(names: Sequence[str], needs_label: str | None, layout: Layout, file: object) -> None:
    """Refuse a file that lacks a column; ``needs_label`` is the estimator that needs one, if any does."""
    for name in (*NEEDED, *layout.columns, *(["label"] if layout.positive is not None else [])):
        if layout.called(name) not in names:
            raise layout.lacks(file, name, names)
    if needs_label is not None and layout.called("label") not in names:
        raise InvalidInput(f"{layout.lacks(file, 'label', names)}; {needs_label} needs it, and entropy does not")


def ours(raws: Iterable[Raw], layout: Layout, file: object) -> Iterator[Raw]:
    """Yield the columns by our names, and labels as 0 and 1 where the layout names the positive one."""
    labels: dict[str, None] = {}
    for raw in raws:
        columns = {name: raw[layout.called(name)] for name in COLUMNS if layout.called(name) in raw}
        if layout.positive is not None:
            given = [None if is_missing(label) else str(label) for label in columns["label"]]
            columns["label"] = [label and int(label == layout.positive) for label in given]
            if layout.positive not in labels:
                labels |= dict.fromkeys(filter(None, given))
        yield columns
    if layout.positive is not None and layout.positive not in labels:
        raise layout.lacks_positive(file, labels)


def checked(raw: Raw, first: int, needs_label: str | None) -> Rows:
    """Validate rows, the first of which is row number ``first``, counted from 1.

    An absent id is the row's number.

    >>> checked({"query": ["lamp"], "text": ["a lamp"], "label": ["1"]}, first=7, needs_label="loss")
    Rows(ids=['7'], queries=['lamp'], texts=['a lamp'], labels=[1])
    """
    count = len(raw["text"])
    numbers = range(first, first + count)
    ids = raw.get("id", [None] * count)
    labels = raw.get("label", [None] * count)
    return Rows(
        [_text("id", row if value is None else value, row) for value, row in zip(ids, numbers, strict=True)],
        [_text("query", value, row) for value, row in zip(raw["query"], numbers, strict=True)],
        [_text("text", value, row) for value, row in zip(raw["text"], numbers, strict=True)],
        [_label(value, row, needs_label) for value, row in zip(labels, numbers, strict=True)],
    )


def _text(column: str, value: object, row: int) -> str:
    if value is None and column == "query":
        return ""  # shown without a search
    if column == "id" and isinstance(value, int):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidInput(f"row {row}: {column} is {_shown(value)}; it must be a text")
    if not value and column != "query":
        raise InvalidInput(f"row {row}: {column} is empty; it must have a character at least")
    if NUL in value:
        raise InvalidInput(f"row {row}: {column} {HOLDS_NUL}")
    if len(value) > LONGEST[column]:
        limit = LONGEST[column]
        raise InvalidInput(f"row {row}: {column} has {len(value):,} characters; it may have {limit:,}: cut it")
    return value


def _label(value: object, row: int, needs_label: str | None) -> int | None:
    if is_missing(value):
        if needs_label is None:
            return None
        raise InvalidInput(f"row {row} has no label, and {needs_label} needs one: give it, or take entropy")
    label = label_of(value)
    if label is None:
        raise InvalidInput(
            f"row {row}: label is {_shown(value)}; it must be 0 or 1: name the one that counts as 1 with --positive"
        )
    return label


def _shown(value: object) -> str:
    text = repr(value)
    return "missing" if value is None else text if len(text) <= 60 else f"{text[:57]}..."
