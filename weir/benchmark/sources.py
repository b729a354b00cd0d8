"""Where examples come from: Home Depot relevance, the stream of a shop, or any file of labelled texts.

Files are read whole and checked before anything is run; what is wrong is one line of `InvalidInput`.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf, isnan
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput, NotFound
from importance.hashing import uniforms
from stream.datasets import complete_journey, online_retail, open_dataset
from stream.datasets.interaction import Shown
from weir.benchmark.examples import Examples, Fold
from weir.scoring.rows import label_of
from weir.table import columns_of, opened

HOME_DEPOT = "home_depot"
SHOPS = {complete_journey.NAME: inf, online_retail.NAME: online_retail.PUBLISHED_END.timestamp() * 1_000}
"""Shops whose stream can be benchmarked, and where it ends, in ms."""
POSITIVE_RELEVANCE = 2.5
HOLDOUT_SHARE = 0.1
HISTORY_HOLDOUT_SHARE = 0.2  # of a month of history, whose tenth would be too little to learn from
TEST_SHARE = 0.2
MOST_TEXT_BYTES = 1_000_000
MOST_RELEVANCE = 100
"""NDCG's gain is 2 to its power: the sums of a slate stay far from what a float64 holds."""
_OPTIONAL = ("query", "relevance", "group")
COLUMNS = ("text", "label", *_OPTIONAL)
ABOUT_HOME_DEPOT = (
    "Home Depot Product Search Relevance (Kaggle 2016, not to be passed on): a search and a product's title, positive "
    "from a mean human relevance of 2.5 (1 to 3); split by query, no query in two folds."
)
_SALT = "benchmark"  # nothing to hide: it only keeps these draws apart from each other

Progress = Callable[[str, int, int], None]


def home_depot(data_dir: Path | None) -> Examples:
    """59,262 pairs of search and product title; positive from a mean human relevance of 2.5 (1 to 3).

    Its own split by query: valid is the test. Of the train queries a tenth is the holdout.
    """
    places = [data_dir / HOME_DEPOT] if data_dir else [Path("data") / HOME_DEPOT, Path("../shared/data") / HOME_DEPOT]
    for place in places:
        file = place / "pairs_dev.parquet"
        if file.is_file():
            break
    else:
        raise NotFound(
            f"{HOME_DEPOT} is not in {', '.join(map(str, places))}: the data of Kaggle's competition may not be passed "
            "on; put pairs_dev.parquet there, or benchmark a file of your own"
        )
    columns = _columns(file, ("search_term", "product_title", "relevance", "query_group", "split"))
    queries = columns["query_group"]
    holdout = uniforms(queries, _SALT, "holdout") < HOLDOUT_SHARE
    relevance = np.asarray(columns["relevance"], np.float64)
    is_test = np.asarray([split != "train" for split in columns["split"]])
    return Examples(
        HOME_DEPOT,
        tuple(columns["product_title"]),
        tuple((term,) for term in columns["search_term"]),
        (relevance >= POSITIVE_RELEVANCE).astype(np.int64),
        relevance,
        _codes(columns["search_term"]),
        _codes(queries),
        np.select([is_test, holdout], [Fold.TEST, Fold.HOLDOUT], Fold.POOL).astype(np.int64),
    )


def shop_stream(name: str, data_dir: Path | None, home: Path, progress: Progress) -> Examples:
    """What one of `SHOPS` showed and sold, in order of time: its first month is history, the rest the pool.

    Of `online_retail` the pool ends with August 2011, as its published figures do. A fifth of the history's subjects is
    the holdout: later ones would tell the reference model the future.
    """
    source = open_dataset(name, 0, data_dir, home, progress)
    end_ms = SHOPS[name]
    shown = [event for event in source.interactions() if isinstance(event, Shown) and event.time_ms < end_ms]
    held = uniforms([event.subject for event in shown], _SALT, "holdout") < HISTORY_HOLDOUT_SHARE
    before = np.asarray([event.time_ms < source.stream_start_ms for event in shown])
    labels = np.asarray([bool(event.action) for event in shown], np.int64)
    return Examples(
        name,
        tuple(event.text for event in shown),
        tuple(tuple(event.query.split(", ")) if event.query else () for event in shown),
        labels,
        labels.astype(np.float64),
        _codes([event.id.rpartition("-")[0] for event in shown]),
        _codes([event.subject for event in shown]),
        np.select([before & held, before], [Fold.HOLDOUT, Fold.HISTORY], Fold.POOL).astype(np.int64),
        is_stream=True,
    )


def about(shop: str) -> str:
    """A line on one of `SHOPS`: origin, licence and making."""
    return complete_journey.ABOUT if shop == complete_journey.NAME else online_retail.ABOUT


def from_file(file: Path, names: Mapping[str, str], positive: str | None = None) -> Examples:
    """Labelled texts of a Parquet, CSV or JSONL file.

    Columns ``text`` and ``label``, and where they exist ``query``, ``relevance`` from 0 to `MOST_RELEVANCE` and
    ``group`` (by default the query, else the text, so that equal ones are in one fold); ``names`` says what they are
    called there. ``label`` is 0 or 1, unless ``positive`` is the value that counts as 1. A fifth of the groups is the
    test, a tenth the holdout, by hash.
    """
    if not file.is_file():
        raise InvalidInput(f"there is no file {file}: name a Parquet, CSV or JSONL file, or a known data set")
    called = {name: names.get(name, name) for name in COLUMNS}
    found = _columns(file, [called["text"], called["label"]], [called[name] for name in _OPTIONAL])
    columns = {name: found[column] for name, column in called.items() if column in found}
    texts = _texts(_complete(columns["text"], "text", file), file)
    queries = _texts(columns["query"], file) if "query" in columns else [""] * len(texts)
    labels = _labels(columns["label"], positive, file)
    alike = [query or text for query, text in zip(queries, texts, strict=True)]
    groups = [*map(str, _complete(columns.get("group", alike), "group", file))]
    draw = uniforms(groups, _SALT, "fold")
    folds = np.select([draw < TEST_SHARE, draw < TEST_SHARE + HOLDOUT_SHARE], [Fold.TEST, Fold.HOLDOUT], Fold.POOL)
    return Examples(
        file.stem,
        tuple(texts),
        tuple((query,) if query else () for query in queries),
        labels,
        _gains(columns.get("relevance", labels.tolist()), file),
        _codes(queries if any(queries) else groups),
        _codes(groups),
        folds.astype(np.int64),
    )


def _columns(file: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> dict[str, list[Any]]:
    """The needed columns, and those of the optional ones that exist, whole."""
    with opened(file) as source:
        names, batches = columns_of(source, [*needed, *optional])
        missing = [name for name in needed if name not in names]
        if missing:
            raise InvalidInput(f"{file} has no column {missing[0]!r}; it has {', '.join(names) or 'none'}")
        found: dict[str, list[Any]] = {name: [] for name in (*needed, *optional) if name in names}
        for batch in batches:
            for name in found:
                found[name] += batch[name]
        source.refuse_changed()
    if not found[needed[0]]:
        raise InvalidInput(f"{file} has no rows")
    return found


def _texts(values: Sequence[object], file: Path) -> list[str]:
    texts = ["" if value is None else str(value) for value in values]
    for row, text in enumerate(texts, start=1):
        if len(text.encode()) > MOST_TEXT_BYTES:
            raise InvalidInput(
                f"{file}, row {row}: a text has {len(text.encode())} bytes; it must have at most {MOST_TEXT_BYTES}"
            )
    return texts


def _complete(values: Sequence[object], what: str, file: Path) -> Sequence[object]:
    """The values, none of which is missing: none, empty or NaN."""
    for row, value in enumerate(values, start=1):
        if value is None or value == "" or (isinstance(value, float) and isnan(value)):
            raise InvalidInput(f"{file}, row {row}: the {what} is missing; fill it in, or leave the row out")
    return values


def _labels(values: Sequence[object], positive: str | None, file: Path) -> NDArray[np.int64]:
    values = _complete(values, "label", file)
    if positive is not None:
        there = dict.fromkeys(map(str, values))
        if positive not in there:
            shown = ", ".join(value[:40] for value in list(there)[:10])
            raise InvalidInput(f"{file}: no label is {positive!r}, named by --positive; there are {shown}")
        return np.asarray([str(value) == positive for value in values], np.int64)
    labels = [label_of(value) for value in values]
    for row, (value, label) in enumerate(zip(values, labels, strict=True), start=1):
        if label is None:
            raise InvalidInput(
                f"{file}, row {row}: the label is {str(value)[:40]!r}; it must be 0 or 1: name the value that counts "
                "as 1 with --positive"
            )
    return np.asarray(labels, np.int64)


def _gains(values: Sequence[object], file: Path) -> NDArray[np.float64]:
    try:
        gains = np.asarray(_complete(values, "relevance", file), np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{file}: a relevance is no number: {error}") from error
    outside = np.flatnonzero(~((gains >= 0) & (gains <= MOST_RELEVANCE)))
    if len(outside):
        raise InvalidInput(
            f"{file}, row {outside[0] + 1}: a relevance is {gains[outside[0]]:g}; it must be from 0 to "
            f"{MOST_RELEVANCE}: scale it"
        )
    return gains


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    """A number for each distinct name, in order of first appearance."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.asarray([numbers[name] for name in names], np.int64)
