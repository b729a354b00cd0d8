"""The values that requests may carry, and how an answer writes a number."""

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from weir.api.shapes import Finite, Id, ReasonRequest, Request, Text, Version


class Item(Request):
    id: Id
    text: Text = ""
    version: Version = "v1"


class Answer(BaseModel):
    auc: Finite


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": ""},
        {"id": "x" * 129},
        {"id": "a\0"},
        {"id": "a", "text": "x" * 8_193},
        {"id": "a", "text": "\0"},
        {"id": "a", "version": "../v1"},
        {"id": "a", "version": "v 1"},
        {"id": "a", "version": "v" * 65},
        {"id": "a", "txt": "a misspelled field"},
        {"id": 7},
    ],
)
def test_a_value_outside_its_bounds_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Item.model_validate(wrong)


def test_the_bounds_themselves_are_accepted_and_blanks_are_kept() -> None:
    item = Item.model_validate({"id": " " + "x" * 127, "text": " " * 8_192, "version": "A-z_0.9"})
    assert (item.id[0], len(item.text), item.version) == (" ", 8_192, "A-z_0.9")


def test_a_text_with_u_0000_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValidationError, match="U\\+0000, which no text may: take it out"):
        ReasonRequest(reason="a\0b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_null(value: float) -> None:
    assert Answer(auc=value).model_dump_json() == '{"auc":null}'


def test_a_finite_number_is_written_as_it_is() -> None:
    assert Answer(auc=0.75).model_dump_json() == '{"auc":0.75}'
