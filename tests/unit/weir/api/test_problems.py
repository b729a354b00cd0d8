"""Every error becomes a problem of RFC 9457: its status, its bounded size, and nothing of the server's inside."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.exceptions import HTTPException

from importance.errors import BadArtifact, Conflict, InvalidInput, NotFound, StoreUnavailable, Unavailable, WeirError
from weir.api import problems
from weir.api.problems import CONTENT_TYPE, MAX_FAULTS, Fault, Malformed
from weir.api.shapes import Request, Text


class Pair(Request):
    query: Text
    text: Text


async def answer(error: Exception | None = None, body: Any = None) -> httpx.Response:
    """What a client gets of a route that raises an error, or that is sent a body."""
    app = FastAPI()
    problems.install(app)

    @app.get("/raise")
    def fail() -> None:
        assert error is not None
        raise error

    @app.post("/pairs")
    def pairs(pairs: list[Pair]) -> None: ...

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        found = await (client.get("/raise") if error is not None else client.post("/pairs", json=body))
    assert found.headers["content-type"] == CONTENT_TYPE
    content = found.json()
    assert content["status"] == found.status_code
    assert content["type"] == "about:blank"
    return found


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (InvalidInput("limit is 0"), 422, None),
        (NotFound("no version v9"), 404, None),
        (Conflict("training is frozen"), 409, None),
        (Unavailable("Postgres does not answer"), 503, "5"),
        (StoreUnavailable("the store does not answer"), 503, "5"),  # a kind of Unavailable
        (BadArtifact("another checksum"), 503, "5"),
    ],
)
async def test_each_kind_of_error_has_its_status(error: WeirError, status: int, retry: str | None) -> None:
    found = await answer(error)
    assert (found.status_code, found.json()["detail"], found.headers.get("retry-after")) == (status, str(error), retry)


@pytest.mark.parametrize("error", [WeirError("a kind without a status"), RuntimeError("password=hush")])
async def test_an_unexpected_error_is_answered_without_its_text(error: Exception) -> None:
    found = await answer(error)
    assert found.status_code == 500
    assert str(error) not in found.text


async def test_the_log_of_an_unexpected_error_has_the_route_not_the_name_in_its_path(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = FastAPI()
    problems.install(app)

    @app.delete("/subjects/{id}")
    def fail(id: str) -> None:  # noqa: A002
        raise RuntimeError

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.delete("/subjects/annabel")
    assert [record.getMessage() for record in caplog.records if record.name == problems.__name__] == [
        "DELETE /subjects/{id} failed"
    ]


async def test_headers_of_the_framework_s_errors_are_kept() -> None:
    found = await answer(HTTPException(429, "too many", headers={"X-Left": "0"}))
    assert (found.status_code, found.headers["x-left"], found.headers["retry-after"]) == (429, "0", "1")


async def test_a_body_that_was_refused_before_it_was_read_names_its_part() -> None:
    found = (await answer(Malformed(Fault(pointer="/samples/3", detail="it is no object")))).json()
    assert found["detail"] == "the request is malformed: /samples/3: it is no object"
    assert found["errors"] == [{"pointer": "/samples/3", "detail": "it is no object"}]


async def test_the_first_three_faults_are_in_the_detail_and_ten_in_the_list() -> None:
    found = (await answer(body=[{"query": 1, "text": "lamp"}] * 12)).json()
    assert [fault["pointer"] for fault in found["errors"]] == [f"/{row}/query" for row in range(MAX_FAULTS)]
    assert found["detail"].count("/query: ") == 3
    assert found["detail"].endswith("; and 9 more")


async def test_an_answer_is_small_whatever_was_sent() -> None:
    found = await answer(body=[{"~/" * 50_000: 1}])
    assert found.status_code == 422
    assert len(found.content) < 5_000
    assert json.loads(found.content)["errors"][-1]["pointer"].startswith("/0/~0~1")
    assert len((await answer(InvalidInput("x" * 50_000))).content) < 1_200
