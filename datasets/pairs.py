"""Labelled texts of a file of one's own, whole and checked: what a benchmark and a first training learn from.

What is wrong in the file is one line of `InvalidInput`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets.layout import Layout
from datasets.table_files import HOLDS_NUL, NUL, columns_of, is_missing, label_of, opened
from importance.arrays import Integers
from importance.callbacks import OnProgress
from importance.errors import InvalidInput
from importance.sample import Action, Sample

MAX_TEXT_BYTES = 1_000_000
TRAINING_COLUMNS = ("text", "label", "query", "subject", "group", "item")
"""Columns that a first training reads; all but the first two may be absent."""


def _unreported(_what: str, _done: int, _total: int) -> None:
    """Ignore progress."""


@dataclass(frozen=True, eq=False, slots=True)
class Pairs:
    """n texts with their queries, empty where there is none, and ``labels`` [n] in {0, 1}; ``others``: more columns."""

    texts: list[str]
    queries: list[str]
    labels: Integers
    others: Mapping[str, Sequence[Any]]

    def groups(self, *columns: str) -> list[str]:
        """Return the group of each row: the first of these columns that exists, else the query, else the text."""
        named = next((self.others[name] for name in columns if name in self.others), None)
        if named is not None:
            return [*map(str, named)]
        return [query or text for query, text in zip(self.queries, self.texts, strict=True)]


def read_pairs(file: Path, layout: Layout, others: Sequence[str] = (), progress: OnProgress = _unreported) -> Pairs:
    """Return ``text`` and ``label``, and where they exist ``query`` and the others, which must be complete."""
    found = read_columns(file, ("text", "label"), ("query", *others), layout, progress)
    texts = _texts(_complete(found["text"], "text", file), "text", file)
    return Pairs(
        texts,
        _texts(found["query"], "query", file) if "query" in found else [""] * len(texts),
        _labels(found["label"], layout, file),
        {name: _complete(found[name], name, file) for name in others if name in found},
    )


def training_samples(file: Path, layout: Layout, progress: OnProgress = _unreported) -> list[Sample]:
    """Return the rows as training samples; a purchase is positive for every value of WEIR_POSITIVE_FROM.

    The subject is the column ``subject``, else ``group``; without both all rows of a query, else of a text,
    count as one subject's, so that none is on both sides of the holdout.
    """
    pairs = read_pairs(file, layout, TRAINING_COLUMNS[3:], progress)
    items = map(str, pairs.others.get("item", pairs.texts))
    rows = zip(pairs.groups("subject", "group"), pairs.queries, items, pairs.texts, pairs.labels.tolist(), strict=True)
    return [
        Sample(str(row), subject, "search", query, item, text, 0, 0, row, actions=int(Action.PURCHASE if label else 0))
        for row, (subject, query, item, text, label) in enumerate(rows, start=1)
    ]


def read_columns(
    file: Path,
    needed: Sequence[str],
    optional: Sequence[str] = (),
    layout: Layout | None = None,
    progress: OnProgress = _unreported,
) -> dict[str, list[Any]]:
    """Return the needed columns, the optional ones that exist, and those that a layout names."""
    called = {name: layout.called(name) if layout else name for name in (*needed, *optional)}
    with opened(file, layout.delimiter if layout else None) as source:
        names, batches = columns_of(source, [*dict.fromkeys(called.values())])
        for name in (*needed, *(layout.columns if layout else ())):
            if called[name] not in names:
                raise layout.lacks(file, name, names) if layout else InvalidInput(f"{file} has no column {name!r}")
        found: dict[str, list[Any]] = {name: [] for name in called if called[name] in names}
        for batch in batches:
            for name in found:
                found[name] += batch[called[name]]
            progress(f"reading {file.name}", len(found[needed[0]]), 0)
        source.refuse_changed()
    if not found[needed[0]]:
        raise InvalidInput(f"{file} has no rows")
    return found


def _texts(values: Sequence[object], what: str, file: Path) -> list[str]:
    texts = ["" if value is None else str(value) for value in values]
    for row, text in enumerate(texts, start=1):
        if len(text.encode()) > MAX_TEXT_BYTES:
            raise InvalidInput(
                f"{file}, row {row}: a text has {len(text.encode())} bytes; it must have at most {MAX_TEXT_BYTES}"
            )
        if NUL in text:
            raise InvalidInput(f"{file}, row {row}: {what} {HOLDS_NUL}")
    return texts


def _complete(values: Sequence[object], what: str, file: Path) -> Sequence[object]:
    """Return the values; refuse missing ones (none, empty or NaN)."""
    for row, value in enumerate(values, start=1):
        if is_missing(value):
            raise InvalidInput(f"{file}, row {row}: the {what} is missing; fill it in, or leave the row out")
    return values


def _labels(values: Sequence[object], layout: Layout, file: Path) -> Integers:
    values = _complete(values, "label", file)
    if layout.positive is not None:
        there = dict.fromkeys(map(str, values))
        if layout.positive not in there:
            raise layout.lacks_positive(file, there)
        return np.asarray([str(value) == layout.positive for value in values], np.int64)
    labels = [label_of(value) for value in values]
    for row, (value, label) in enumerate(zip(values, labels, strict=True), start=1):
        if label is None:
            raise InvalidInput(
                f"{file}, row {row}: the label is {str(value)[:40]!r}; it must be 0 or 1: name the value that counts "
                "as 1 with --positive"
            )
    return np.asarray(labels, np.int64)
