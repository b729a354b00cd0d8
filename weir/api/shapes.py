"""Types that the requests and answers of several areas share. A number that is not finite is null."""

from typing import Annotated, Literal

from fastapi import Body
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from importance.finite import finite_or_none


def _without_nul(text: str) -> str:
    """Refuse U+0000, as in an event: Postgres stores no text that has it."""
    if "\0" in text:
        raise PydanticCustomError("nul_character", "it holds U+0000, which no text may: take it out")
    return text


Finite = Annotated[float, PlainSerializer(finite_or_none, when_used="json")]
Whole = Annotated[str, AfterValidator(_without_nul)]
Text = Annotated[Whole, Field(max_length=8_192)]
Query = Annotated[Whole, Field(max_length=2_048)]
Id = Annotated[Whole, Field(min_length=1, max_length=128)]
Version = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
Why = Annotated[Whole, Field(min_length=1, max_length=2_000, description="why, for the log")]
Estimator = Annotated[str, Field(max_length=64)]
Surface = Literal["search", "recommendation", "ad"]


class Request(BaseModel):
    """Base of a request body: unknown fields are refused, so that a misspelled one is not silently without effect."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class ReasonRequest(Request):
    """A reason, which is stored in the log."""

    reason: Why = "asked for over HTTP"


OptionalReason = Annotated[ReasonRequest, Body()]
NO_REASON = ReasonRequest()
