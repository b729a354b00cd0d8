"""What is refused, how it is said, and that nothing else is served by accident."""

import http.client
import json
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import pytest

from importance.errors import Unavailable
from weir.api.limits import MAX_BODY_BYTES, MAX_ITEMS
from weir.api.routes.stream import MAX_LISTENERS
from weir.api.server import serve
from weir.local.ports import until

from .conftest import World

SAMPLE = {"query": "q", "text": "t", "label": 1}
ITEM = {"item": "i", "text": "t"}
JSON = {"Content-Type": "application/json"}


def test_an_unknown_route_and_a_wrong_method_are_problems(unchanged: World) -> None:
    assert "/v1/nothing" in unchanged.problem(unchanged.http.get("/v1/nothing"), 404)["detail"]
    answer = unchanged.http.post("/v1/buffer")
    unchanged.problem(answer, 405)
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("/v1/score", {"samples": [], "estimators": ["loss"]}, "/samples"),
        ("/v1/score", {"samples": [SAMPLE] * (MAX_ITEMS + 1), "estimators": ["loss"]}, "/samples"),
        ("/v1/score", {"samples": [SAMPLE], "estimators": []}, "/estimators"),
        ("/v1/score", {"samples": [{**SAMPLE, "label": 2}], "estimators": ["loss"]}, "/samples/0/label"),
        ("/v1/score", {"samples": [{**SAMPLE, "text": "t" * 8_193}], "estimators": ["loss"]}, "/samples/0/text"),
        ("/v1/score", {"samples": [{**SAMPLE, "lable": 1}], "estimators": ["loss"]}, "/samples/0/lable"),
        ("/v1/score", {"samples": [{**SAMPLE, "text": "a\0b"}], "estimators": ["loss"]}, "/samples/0/text"),
        ("/v1/score", [], ""),
        ("/v1/rank", {"query": "q", "surface": "shelf", "items": [ITEM]}, "/surface"),
        ("/v1/rank", {"query": "q", "surface": "ad", "items": [ITEM] * (MAX_ITEMS + 1)}, "/items"),
        ("/v1/rank", {"query": "q", "surface": "ad", "items": [{**ITEM, "item": ""}]}, "/items/0/item"),
        ("/v1/rank", {"query": "q", "surface": "ad", "items": [{**ITEM, "text": "\0"}]}, "/items/0/text"),
        ("/v1/rank", {"query": "q\0", "surface": "ad", "items": [ITEM]}, "/query"),
        ("/v1/rank", {"query": "q", "surface": "ad", "items": [{**ITEM, "item": "\0"}]}, "/items/0/item"),
        ("/v1/rank", {"query": "q" * 2_049, "surface": "ad", "items": [ITEM]}, "/query"),
        ("/v1/models/rollback", {"reason": ""}, "/reason"),
        ("/v1/models/rollback", {"reason": "r" * 2_001}, "/reason"),
        ("/v1/models/rollback", {"reason": "r", "version": "a b"}, "/version"),
        ("/v1/training/freeze", {"reason": 7}, "/reason"),
    ],
)
def test_a_body_out_of_shape_is_refused_with_a_pointer_to_what_is_wrong(
    unchanged: World, path: str, body: object, pointer: str
) -> None:
    found = unchanged.problem(unchanged.http.post(path, json=body), 422)
    assert [error["pointer"] for error in found["errors"]] == [pointer]


def test_a_text_with_u_0000_is_refused_as_in_events_and_named_so(unchanged: World) -> None:
    asked = {"query": "red\0lamp", "surface": "search", "items": [ITEM]}
    found = unchanged.problem(unchanged.http.post("/v1/rank", json=asked), 422)
    assert found["detail"] == "the request is malformed: /query: it holds U+0000, which no text may: take it out"


def test_a_wrong_parameter_is_named_as_one_and_a_wrong_body_by_its_pointer(unchanged: World) -> None:
    found = unchanged.problem(unchanged.http.get("/v1/samples?limit=0"), 422)
    assert [set(error) for error in found["errors"]] == [{"parameter", "detail"}]
    assert found["errors"][0]["parameter"] == "limit"
    assert "parameter limit: " in found["detail"]
    found = unchanged.problem(unchanged.http.get("/v1/models/a%20b"), 422)
    assert found["errors"][0]["parameter"] == "version"
    for content in (b"[]", b"{", b""):
        found = unchanged.problem(unchanged.http.post("/v1/rank", content=content, headers=JSON), 422)
        assert found["errors"][0]["pointer"] == ""
        assert found["detail"].startswith("the request is malformed: the body: ")


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_sent_as_json_is_a_415_that_names_the_remedy(unchanged: World, kind: str | None) -> None:
    asked = json.dumps({"query": "q", "surface": "ad", "items": [ITEM]}).encode()
    headers = {} if kind is None else {"Content-Type": kind}
    for path in ("/v1/rank", "/v1/training/freeze"):
        found = unchanged.problem(unchanged.http.post(path, content=asked, headers=headers), 415)
        assert found["detail"].endswith("send it with the header Content-Type: application/json")
    assert repr(kind) in found["detail"] or not kind


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.shop+json"])
def test_json_is_taken_by_any_of_its_names(unchanged: World, kind: str) -> None:
    asked = json.dumps({"query": "q", "surface": "ad", "items": [ITEM]}).encode()
    assert unchanged.http.post("/v1/rank", content=asked, headers={"Content-Type": kind}).status_code == 200


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"", b'{"a":' * 5_000, b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(unchanged: World, content: bytes) -> None:
    answer = unchanged.http.post("/v1/rank", content=content, headers=JSON)
    assert answer.status_code in (400, 422)
    unchanged.problem(answer, answer.status_code)


def test_an_unknown_estimator_is_refused_with_the_known_ones(unchanged: World) -> None:
    answer = unchanged.http.post("/v1/score", json={"samples": [SAMPLE], "estimators": ["guess"]})
    assert "last_layer_norm" in unchanged.problem(answer, 422)["detail"]


def test_an_estimator_that_needs_labels_refuses_samples_without(unchanged: World) -> None:
    unlabelled = {"query": "q", "text": "t"}
    answer = unchanged.http.post("/v1/score", json={"samples": [SAMPLE, unlabelled], "estimators": ["entropy", "loss"]})
    assert "/samples/1 has no label, and loss needs one" in unchanged.problem(answer, 422)["detail"]
    fine = unchanged.http.post("/v1/score", json={"samples": [unlabelled], "estimators": ["entropy"]})
    assert fine.status_code == 200


def test_a_text_that_postgres_cannot_hold_is_refused_and_not_an_internal_error(unchanged: World) -> None:
    for reason in ("a\0b", "half a pair \ud800"):
        body = json.dumps({"reason": reason})
        answer = unchanged.http.post("/v1/models/rollback", content=body, headers=JSON)
        unchanged.problem(answer, 422)
    assert unchanged.http.get("/v1/samples/a%00b").status_code in (404, 422)


def test_a_body_over_the_bound_is_refused_whether_it_is_announced_or_not(unchanged: World) -> None:
    too_much = b" " * (MAX_BODY_BYTES + 1)
    unchanged.problem(unchanged.http.post("/v1/rank", content=too_much), 413)
    parts = iter([too_much[: MAX_BODY_BYTES // 2]] * 3)
    unchanged.problem(unchanged.http.post("/v1/rank", content=parts), 413)
    assert unchanged.http.get("/healthz").status_code == 200


def ask(world: World, headers: dict[str, str]) -> int:
    """The status of a change asked for with these headers, ``Host`` included."""
    connection = http.client.HTTPConnection(urlsplit(world.server.url).netloc, timeout=30)
    connection.putrequest("POST", "/v1/training/freeze", skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:8787"},
        {"Host": "127.0.0.1", "Origin": "https://evil.example"},
        {"Host": "127.0.0.1", "Origin": "null"},
        {"Host": "127.0.0.1:8787", "Origin": "http://localhost:3000"},
        {"Host": "127.0.0.1:8787", "Origin": "http://127.0.0.1:8788"},
        {"Host": "[::1"},
    ],
)
def test_a_page_of_somewhere_else_cannot_change_anything(unchanged: World, headers: dict[str, str]) -> None:
    assert ask(unchanged, headers) in (400, 403)
    assert unchanged.registry.active().frozen is False  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "headers", [{"Host": "localhost:1"}, {"Host": "[::1]:5"}, {"Host": "localhost:3", "Origin": "http://localhost:3"}]
)
def test_programs_of_this_machine_and_the_interfaces_own_pages_may_ask(world: World, headers: dict[str, str]) -> None:
    world.register("v1")
    assert ask(world, headers) == 200


def test_a_port_that_is_taken_is_said_in_one_line(unchanged: World) -> None:
    port = urlsplit(unchanged.server.url).port
    with (
        pytest.raises(Unavailable, match=f"cannot listen at 127.0.0.1:{port}"),
        serve(None, "127.0.0.1", port or 0, None),  # type: ignore[arg-type]  # refused before they are used
    ):
        pass


def test_a_database_that_is_away_is_a_503_with_a_time_to_try_again_and_it_comes_back(own_postgres: Any) -> None:
    world = World(own_postgres.database())
    try:
        world.register("v1")
        assert world.http.get("/v1/models").status_code == 200  # there are no tokens, which is known from now on
        own_postgres.kill()
        answer = world.http.get("/v1/models")
        assert "does not answer" in world.problem(answer, 503)["detail"]
        assert answer.headers["retry-after"] == "5"
        assert "weir_buffer_items" not in world.http.get("/metrics").text
        with world.http.stream("GET", "/v1/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: unavailable"
            own_postgres.start()
            assert "event: state" in lines  # waits for it
        assert world.http.get("/v1/models").json()["active"] == "v1"
    finally:
        world.close()


def test_more_listeners_than_the_bound_are_refused_until_one_leaves(unchanged: World) -> None:
    def listens() -> bool:
        with unchanged.http.stream("GET", "/v1/stream") as answer:
            return answer.status_code == HTTPStatus.OK

    with ExitStack() as listening:
        for _ in range(MAX_LISTENERS):
            listening.enter_context(unchanged.http.stream("GET", "/v1/stream"))
        unchanged.problem(unchanged.http.get("/v1/stream"), 503)
    assert until(listens, lambda: False, 30)


@pytest.mark.parametrize(
    ("asked", "status"), [("limit=0", 422), ("limit=501", 422), ("after=%00", 422), ("limit=x", 422)]
)
def test_a_page_of_samples_is_bounded(unchanged: World, asked: str, status: int) -> None:
    unchanged.problem(unchanged.http.get(f"/v1/samples?{asked}"), status)


def test_an_unknown_stratum_is_named_with_those_that_exist(world: World) -> None:
    world.fill(count=20)
    detail = world.problem(world.http.get("/v1/samples?stratum=gold"), 404)["detail"]
    assert detail == "the buffer has no stratum 'gold'; it has holdout, uniform, positive, negative"
