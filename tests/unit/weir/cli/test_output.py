"""How commands print data."""

from datetime import UTC, datetime
from typing import Any

import pytest

from weir.cli.output import columns, counted, print_facts, print_json


def test_columns_line_up_and_the_last_may_be_long() -> None:
    rows: list[tuple[Any, ...]] = [("a", True, 0.1234567891), ("longer", None, "text with words")]
    assert columns(("name", "is", "what"), rows).splitlines() == [
        "name    is   what",
        "a       yes  0.123457",
        "longer  -    text with words",
    ]


def test_a_table_without_rows_is_its_header() -> None:
    assert columns(("name", "items"), []) == "name  items"


def test_facts_line_up_and_what_is_missing_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts([("version", "v3"), ("parent", None), ("reason", ""), ("frozen", False), ("auc", 2 / 3)])
    assert capsys.readouterr().out.splitlines() == [
        "version  v3",
        "parent   -",
        "reason   -",
        "frozen   no",
        "auc      0.666667",
    ]


def test_a_document_is_one_line_with_null_for_what_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(
        {"auc": float("nan"), "loss": float("inf"), "time": datetime(2026, 1, 5, 8, 53, tzinfo=UTC), "text": "a\nb"}
    )
    assert capsys.readouterr().out == '{"auc":null,"loss":null,"time":"2026-01-05T08:53:00Z","text":"a\\nb"}\n'


@pytest.mark.parametrize(("count", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1_234_567, "1,234,567 rows")])
def test_a_count_agrees_with_its_noun(count: int, text: str) -> None:
    assert counted(count, "row") == text
