"""A shop's own pairs as the first version learns them."""

import csv
from pathlib import Path

import pytest

from datasets.layout import DEFAULT, Layout
from datasets.pairs import training_samples
from importance.errors import InvalidInput
from importance.sample import Outcome, labels


def table(file: Path, header: str, *lines: str) -> Path:
    file.write_text("\n".join([header, *lines]))
    return file


def test_a_label_holds_whatever_outcome_is_positive(tmp_path: Path) -> None:
    samples = training_samples(table(tmp_path / "a.csv", "query,text,label", "lamp,red lamp,1", "lamp,mug,0"), DEFAULT)
    assert [(sample.query, sample.text, sample.item) for sample in samples] == [
        ("lamp", "red lamp", "red lamp"), ("lamp", "mug", "mug"),
    ]  # fmt: skip
    for positive_from in (Outcome.CLICK, Outcome.PURCHASE):
        assert labels(samples, positive_from) == [1, 0]


@pytest.mark.parametrize(
    ("columns", "subjects"),
    [
        ("text,label,query,group,subject,item", ["s1", "s2", "s1"]),
        ("text,label,query,group", ["g1", "g1", "g2"]),
        ("text,label,query", ["lamp", "lamp", "mug"]),
        ("text,label", ["red", "blue", "green"]),
    ],
)
def test_rows_are_one_subjects_by_the_first_column_that_says_so(
    tmp_path: Path, columns: str, subjects: list[str]
) -> None:
    rows = [
        {"text": "red", "label": 1, "query": "lamp", "group": "g1", "subject": "s1", "item": "p1"},
        {"text": "blue", "label": 0, "query": "lamp", "group": "g1", "subject": "s2", "item": "p2"},
        {"text": "green", "label": 1, "query": "mug", "group": "g2", "subject": "s1", "item": "p3"},
    ]
    with (tmp_path / "rows.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, columns.split(","), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    assert [sample.subject for sample in training_samples(tmp_path / "rows.csv", DEFAULT)] == subjects


def test_a_column_that_was_named_must_be_there_even_if_it_may_be_absent(tmp_path: Path) -> None:
    file = table(tmp_path / "a.csv", "text,label,customer", "red lamp,1,ann", "mug,0,ben")
    with pytest.raises(
        InvalidInput, match=r"no column 'user'; it has text, label, customer: .* --column subject=customer"
    ):
        training_samples(file, Layout({"subject": "user"}))
    assert [sample.subject for sample in training_samples(file, Layout({"subject": "customer"}))] == ["ann", "ben"]


@pytest.mark.parametrize(("column", "row"), [("text", "lamp,a\0b,1"), ("query", "la\0mp,red,1")])
def test_a_text_with_u_0000_is_refused_as_in_events(tmp_path: Path, column: str, row: str) -> None:
    file = table(tmp_path / "a.csv", "query,text,label", "lamp,red lamp,0", row)
    with pytest.raises(InvalidInput, match=rf"row 2: {column} holds U\+0000, which no text may: take it out"):
        training_samples(file, DEFAULT)
