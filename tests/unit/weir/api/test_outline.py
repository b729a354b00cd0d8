"""A body is parsed by the outline of its model: the first structural fault ends it, and what passes is unchanged."""

from typing import Annotated, Any

import pytest
from fastapi import HTTPException
from pydantic import BaseModel, Field

from weir.api.outline import Outline, _require_json
from weir.api.problems import Malformed


class Item(BaseModel):
    text: str
    weight: float | None = None


class Batch(BaseModel):
    items: Annotated[list[Item], Field(max_length=2)]
    names: list[str] = []
    first: Item | None = None
    flag: bool = False


class Mixed(BaseModel):
    value: list[str] | str


OUTLINE = Outline(Batch)


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b'{"items": []}', {"items": []}),
        (b'{"items": [{"text": "a", "weight": 1.5}], "flag": 1}', {"items": [{"text": "a", "weight": 1.5}], "flag": 1}),
        (b'{"items": [{"text": 7}], "names": [null, 2]}', {"items": [{"text": 7}], "names": [None, 2]}),
        (b"{}", {}),
    ],
)
def test_what_has_the_structure_passes_unchanged(body: bytes, values: Any) -> None:
    """Types of scalars are left to pydantic."""
    assert OUTLINE.read(body) == values


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"items": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}', "/items"),
        (b'{"items": {"text": "a"}}', "/items"),
        (b'{"items": [{"text": ["a"]}]}', "/items/0/text"),
        (b'{"items": [{"text": "a"}, {"txt": "b"}]}', "/items/1/txt"),
        (b'{"items": [], "a/b~c": 1}', "/a~1b~0c"),
        (b"[]", ""),
        (b"7", ""),
        (b'{"items": [', ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_first_structural_fault_is_named_by_its_pointer(body: bytes, pointer: str) -> None:
    with pytest.raises(Malformed) as caught:
        OUTLINE.read(body)
    assert caught.value.fault.pointer == pointer
    assert caught.value.fault.detail


def test_a_model_whose_structure_is_not_one_has_no_outline() -> None:
    with pytest.raises(TypeError, match="mixes lists and scalars"):
        Outline(Mixed)


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"]
)
def test_a_body_of_json_passes(kind: str) -> None:
    _require_json(kind)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "text/json", "multipart/form-data; x=application/json", "x" * 9_000]
)
def test_a_body_of_another_type_is_refused_with_the_remedy(kind: str) -> None:
    with pytest.raises(HTTPException) as caught:
        _require_json(kind)
    assert caught.value.status_code == 415
    assert "Content-Type: application/json" in str(caught.value.detail)
    assert len(str(caught.value.detail)) < 250
