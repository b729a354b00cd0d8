import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from datasets.layout import Layout
from experiments.examples import Fold
from experiments.quality import ndcg
from experiments.sources import from_file, home_depot
from importance.errors import InvalidInput, NotFound

ROWS: list[dict[str, Any]] = [
    {"text": f"thing {number}", "query": f"want {number % 40}", "label": number % 2} for number in range(400)
]


def _jsonl(file: Path, rows: list[dict[str, object]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)))
    return file


def test_parquet_csv_and_jsonl_give_the_same_examples(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "rows.parquet")
    csv.write_csv(table, tmp_path / "rows.csv")
    _jsonl(tmp_path / "rows.jsonl", ROWS)
    first, *others = (from_file(tmp_path / f"rows.{kind}") for kind in ("parquet", "csv", "jsonl"))
    for other in others:
        assert (first.texts, first.queries) == (other.texts, other.queries)
        assert np.array_equal(first.labels, other.labels)
        assert np.array_equal(first.folds, other.folds)


def test_no_group_is_in_two_folds_and_all_folds_are_there(tmp_path: Path) -> None:
    examples = from_file(_jsonl(tmp_path / "rows.jsonl", ROWS))
    pairs = set(zip(examples.groups.tolist(), examples.folds.tolist(), strict=True))
    assert len(pairs) == len(set(examples.groups.tolist()))
    assert set(examples.folds.tolist()) == {Fold.POOL, Fold.HOLDOUT, Fold.TEST}


def test_equal_texts_without_a_query_are_in_one_fold(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": f"thing {number % 50}", "label": number // 50 % 2} for number in range(400)
    ]
    examples = from_file(_jsonl(tmp_path / "rows.jsonl", rows))
    assert len({(text, fold) for text, fold in zip(examples.texts, examples.folds.tolist(), strict=True)}) == 50
    assert set(examples.folds.tolist()) == {Fold.POOL, Fold.HOLDOUT, Fold.TEST}


def test_the_largest_relevance_has_a_figure(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [row | {"relevance": 100 * int(row["label"])} for row in ROWS]
    relevance = from_file(_jsonl(tmp_path / "rows.jsonl", rows)).relevance
    assert ndcg(relevance, np.zeros(400, np.int64), relevance) == 1


@pytest.mark.parametrize(("no", "yes"), [("0.0", "1.0"), ("0", "1"), ("FALSE", "TRUE"), ("False", "true")])
def test_a_label_is_written_as_it_may_be_in_a_file_that_is_scored(tmp_path: Path, no: str, yes: str) -> None:
    rows: list[dict[str, object]] = [row | {"label": yes if row["label"] else no} for row in ROWS]
    assert from_file(_jsonl(tmp_path / "rows.jsonl", rows)).labels.tolist() == [row["label"] for row in ROWS]


def test_a_classification_file_without_queries_may_name_its_columns_and_its_positive_label(tmp_path: Path) -> None:
    rows = [{"sentence": f"share {number}", "tone": "buy" if number % 3 else "sell"} for number in range(300)]
    examples = from_file(
        _jsonl(tmp_path / "news.jsonl", rows), Layout({"text": "sentence", "label": "tone"}, positive="buy")
    )
    assert (examples.labels.mean(), examples.queries[0]) == (2 / 3, ())


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("rows.csv", "", "is empty"),
        ("rows.csv", "text,label\n", "has no rows"),
        ("rows.csv", "text,mark\na,1\n", "has no column 'label'; it has text, mark"),
        ("rows.csv", "text,label\na,1\nb,maybe\n", "row 2: the label is 'maybe'; it must be 0 or 1"),
        ("rows.csv", "text,label\na,1\nb,\n", "row 2: the label is"),
        ("rows.csv", "text,label\na,1\nb,1\n", "fewer than two classes"),
        ("rows.jsonl", '{"text": "a", "label"', "line 1: .* must be a JSON object"),
        ("rows.parquet", "PAR1", "cannot be read"),
        ("rows.xlsx", "text", "must end in .parquet, .csv, .jsonl"),
        ("rows.jsonl", json.dumps({"text": "x" * 10_000_000, "label": 1}), "line 1: it is longer than 1,048,576 bytes"),
        ("rows.csv", "text,label,relevance\na,1,high\nb,0,low\n", "a relevance is not a number"),
        ("rows.jsonl", f'{{"text": "a", "label": 1, "relevance": 1{"0" * 400}}}', "a relevance is not a number"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    tmp_path: Path, name: str, content: str, problem: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InvalidInput, match=problem) as refusal:
        from_file(tmp_path / name)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("column", "value", "positive", "problem"),
    [
        ("label", None, "1", "row 3: the label is missing"),
        ("label", "", "1", "row 3: the label is missing"),
        ("label", None, None, "row 3: the label is missing"),
        ("group", None, None, "row 3: the group is missing"),
        ("group", "", None, "row 3: the group is missing"),
        ("relevance", None, None, "row 3: the relevance is missing"),
        ("relevance", float("nan"), None, "row 3: the relevance is missing"),
        ("relevance", float("inf"), None, "row 3: a relevance is inf; it must be from 0 to 100: scale it"),
        ("relevance", 2_000.0, None, "row 3: a relevance is 2000; it must be from 0 to 100: scale it"),
        ("relevance", -1.0, None, "row 3: a relevance is -1; it must be from 0 to 100: scale it"),
        ("text", None, None, "row 3: the text is missing"),
        ("text", "", None, "row 3: the text is missing"),
    ],
)
def test_a_value_that_is_missing_is_refused_with_its_row_and_never_guessed(
    tmp_path: Path, column: str, value: object, positive: str | None, problem: str
) -> None:
    kind = float if column == "relevance" else str
    rows: list[dict[str, object]] = [
        {column: kind(number % 2)} | {"text": f"thing {number}", "label": str(number % 2)} for number in range(400)
    ]
    rows[2][column] = value
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    with pytest.raises(InvalidInput, match=problem):
        from_file(tmp_path / "rows.parquet", Layout(positive=positive))


def test_a_file_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such file"):
        from_file(tmp_path / "none.csv")


def test_home_depot_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"put pairs_dev\.parquet there"):
        home_depot(tmp_path)


def test_home_depot_keeps_its_own_split(tmp_path: Path) -> None:
    rows = [
        {
            "search_term": f"Want {number % 50}",
            "product_title": f"thing {number}",
            "relevance": 1.0 + number % 3,
            "query_group": f"want {number % 50}",
            "split": "valid" if number % 50 < 10 else "train",
        }
        for number in range(600)
    ]
    (tmp_path / "home_depot").mkdir()
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "home_depot" / "pairs_dev.parquet")
    examples = home_depot(tmp_path)
    assert len(examples.rows(Fold.TEST)) == 120
    assert np.array_equal(examples.labels, (examples.relevance >= 2.5).astype(np.int64))
    smaller = examples.at_most(200)
    assert 150 < len(smaller.rows(Fold.POOL)) <= 200
    assert np.array_equal(smaller.rows(Fold.TEST), examples.rows(Fold.TEST))
