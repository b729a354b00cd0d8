"""Sources of examples: Home Depot relevance, the stream of a shop, or any file of labelled texts.

Files are read completely and validated before anything is run; an error is one line of `InvalidInput`.
"""

from collections.abc import Sequence
from math import inf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets import complete_journey, online_retail, open_dataset
from datasets.interaction import Shown
from datasets.layout import DEFAULT, Layout
from datasets.pairs import read_columns, read_pairs
from experiments.examples import Examples, Fold
from importance.callbacks import OnProgress
from importance.errors import InvalidInput, NotFound
from importance.hashing import uniforms

HOME_DEPOT = "home_depot"
SHOPS = {complete_journey.NAME: inf, online_retail.NAME: online_retail.PUBLISHED_END.timestamp() * 1_000}
"""Shops whose stream can be benchmarked, and where it ends, in ms."""
POSITIVE_RELEVANCE = 2.5
HOLDOUT_SHARE = 0.1
HISTORY_HOLDOUT_SHARE = 0.2  # of a month of history, whose tenth would be too little to learn from
TEST_SHARE = 0.2
MAX_RELEVANCE = 100
"""NDCG's gain is 2 to this power: the sums of a slate stay far below the limit of a float64."""
COLUMNS = ("text", "label", "query", "relevance", "group")
ABOUT_HOME_DEPOT = (
    "Home Depot Product Search Relevance (Kaggle 2016, not to be passed on): a search and a product's title, positive "
    "from a mean human relevance of 2.5 (1 to 3); split by query, no query in two folds."
)
_SALT = "benchmark"  # not secret: it only makes these draws independent of others


def home_depot(data_dir: Path | None) -> Examples:
    """Read 59,262 pairs of search and product title; positive from a mean human relevance of 2.5 (1 to 3).

    Split by query as published: valid is the test. A tenth of the train queries is the holdout.
    """
    candidates = (
        [data_dir / HOME_DEPOT] if data_dir else [Path("data") / HOME_DEPOT, Path("../shared/data") / HOME_DEPOT]
    )
    for directory in candidates:
        file = directory / "pairs_dev.parquet"
        if file.is_file():
            break
    else:
        raise NotFound(
            f"{HOME_DEPOT} is not in {', '.join(map(str, candidates))}: the data of Kaggle's competition may not be "
            "passed on; put pairs_dev.parquet there, or benchmark a file of your own"
        )
    columns = read_columns(file, ("search_term", "product_title", "relevance", "query_group", "split"))
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


def shop_stream(name: str, data_dir: Path | None, home: Path, progress: OnProgress) -> Examples:
    """Read the impressions of one of `SHOPS` in order of time: the first month is history, the rest the pool.

    The pool of `online_retail` ends with August 2011, as its published results do. A fifth of the history's subjects is
    the holdout: later ones would leak the future into the holdout model.
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
        times_ms=np.asarray([event.time_ms for event in shown], np.int64),
    )


def about(shop: str) -> str:
    """Return a line about one of `SHOPS`: origin, licence and mapping."""
    return complete_journey.ABOUT if shop == complete_journey.NAME else online_retail.ABOUT


def from_file(file: Path, layout: Layout = DEFAULT) -> Examples:
    """Read labelled texts from a Parquet, CSV or JSONL file.

    Columns ``text`` and ``label``, optionally ``query``, ``relevance`` from 0 to `MAX_RELEVANCE` and ``group`` (by
    default the query, else the text, so that equal ones are in one fold). A fifth of the groups is the test, a tenth
    the holdout, by hash.
    """
    if not file.is_file():
        raise InvalidInput(f"no such file: {file}; name a Parquet, CSV or JSONL file, or a known data set")
    pairs = read_pairs(file, layout, ("relevance", "group"))
    groups = pairs.groups("group")
    draw = uniforms(groups, _SALT, "fold")
    folds = np.select([draw < TEST_SHARE, draw < TEST_SHARE + HOLDOUT_SHARE], [Fold.TEST, Fold.HOLDOUT], Fold.POOL)
    return Examples(
        file.stem,
        tuple(pairs.texts),
        tuple((query,) if query else () for query in pairs.queries),
        pairs.labels,
        _gains(pairs.others.get("relevance", pairs.labels.tolist()), file),
        _codes(pairs.queries if any(pairs.queries) else groups),
        _codes(groups),
        folds.astype(np.int64),
    )


def _gains(values: Sequence[object], file: Path) -> NDArray[np.float64]:
    try:
        gains = np.asarray(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{file}: a relevance is not a number: {error}") from error
    outside = np.flatnonzero(~((gains >= 0) & (gains <= MAX_RELEVANCE)))
    if len(outside):
        raise InvalidInput(
            f"{file}, row {outside[0] + 1}: a relevance is {gains[outside[0]]:g}; it must be from 0 to "
            f"{MAX_RELEVANCE}: scale it"
        )
    return gains


def _codes(names: Sequence[str]) -> NDArray[np.int64]:
    """Return a number for each distinct name, in order of first appearance."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.asarray([numbers[name] for name in names], np.int64)
