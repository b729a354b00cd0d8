"""Whatever a client sends, an answer stays small, others are served, and what is too much is refused for now."""

import json
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event, Semaphore
from typing import Any

import httpx
import pytest
import sqlalchemy as sa

from importance.errors import Unavailable
from importance.sample import Pair, Sample
from importance.scores import Predictions
from tests.support.waiting import until
from weir.api.limits import MAX_BODY_BYTES, MAX_ITEMS, Limits
from weir.api.rankings import TooMany
from weir.api.routes.history import MAX_READING as MAX_HISTORIES
from weir.api.routes.ranking import MAX_READING
from weir.api.routes.status import MAX_ASKING
from weir.status.service import Status

from .conftest import World, answer_of, connection

LARGEST_ANSWER_BYTES = 8_192
LARGE = MAX_BODY_BYTES - 100
JSON = {"Content-Type": "application/json"}


@contextmanager
def served(postgres: Any, limits: Limits) -> Iterator[World]:
    world = World(postgres.database(), limits)
    try:
        yield world
    finally:
        world.close()


def first_answer_of(connection: socket.socket) -> bytes:
    """One answer with a JSON object, after which the connection stays open."""
    found = b""
    while not found.endswith(b"}") and (part := connection.recv(65_536)):  # headers and body may come apart
        found += part
    return found


@pytest.mark.parametrize(
    "body",
    [
        b"{" + b",".join(b'"k%d":0' % i for i in range(1_000_000)) + b"}",
        b'{"' + b"k" * LARGE + b'":1}',
        b'{"samples":[' + b"{}," * (LARGE // 3 - 10) + b"{}]}",
        b'{"samples":[' + b"7," * (LARGE // 2 - 10) + b"7]}",
        b'{"samples":[],"estimators":["' + b"e" * (LARGE - 50) + b'"]}',
        b'{"samples":' + b"[" * (LARGE - 20),
        json.dumps({"samples": [{"query": "q" * 3_000, "text": 7}] * MAX_ITEMS, "estimators": []}).encode(),
    ],
    ids=["keys", "a key", "objects", "numbers", "a name", "nesting", "every field wrong"],
)
def test_a_refusal_is_small_whatever_was_sent(unchanged: World, body: bytes) -> None:
    answer = unchanged.http.post("/v1/score", content=body, headers=JSON)
    found = unchanged.problem(answer, 422)
    assert len(answer.content) <= LARGEST_ANSWER_BYTES
    assert 1 <= len(found["errors"]) <= 10


def test_all_faults_are_counted_and_the_first_are_shown(unchanged: World) -> None:
    wrong = {"samples": [{"query": "q", "text": 7}] * 50, "estimators": ["loss"]}
    found = unchanged.problem(unchanged.http.post("/v1/score", json=wrong), 422)
    assert found["detail"].endswith("; and 47 more")
    assert [each["pointer"] for each in found["errors"]] == [f"/samples/{i}/text" for i in range(10)]


def test_a_valid_body_that_is_large_is_answered(unchanged: World) -> None:
    items = [{"item": str(i), "text": "é" * 8_000} for i in range(MAX_ITEMS)]
    body = json.dumps({"query": "q", "surface": "ad", "items": items}, ensure_ascii=False).encode()
    assert len(body) > 15_000_000
    assert len(unchanged.http.post("/v1/rank", content=body, headers=JSON).json()["ranking"]) == MAX_ITEMS


@pytest.mark.parametrize("start", [b"", b"GET /healthz HTT", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: b"])
@pytest.mark.parametrize("again", [False, True], ids=["first", "kept open"])
def test_a_client_that_does_not_finish_its_headers_is_sent_away(postgres: Any, start: bytes, again: bool) -> None:
    with served(postgres, Limits(header_seconds=0.2)) as world, connection(world) as slow:
        if again:
            slow.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert first_answer_of(slow).startswith(b"HTTP/1.1 200 ")
            start = start or b"G"  # a connection without a byte more is uvicorn's to close, without an answer
        slow.sendall(start)
        answer = answer_of(slow)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        assert world.http.get("/healthz").status_code == 200


def test_a_client_that_does_not_finish_its_body_is_sent_away(postgres: Any) -> None:
    with served(postgres, Limits(body_seconds=0.2)) as world, connection(world) as slow:
        slow.sendall(b"POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")
        answer = answer_of(slow)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"WEIR_API_BODY_SECONDS" in answer


@pytest.mark.parametrize("length", [b"Transfer-Encoding: chunked", b"Content-Length: 100"])
@pytest.mark.parametrize("path", [b"/healthz", b"/v1/models"])
def test_a_client_that_does_not_finish_a_body_after_its_answer_is_sent_away(
    unchanged: World, path: bytes, length: bytes
) -> None:
    with connection(unchanged) as slow:
        slow.sendall(b"GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n\r\n" % (path, length))
        assert first_answer_of(slow).startswith(b"HTTP/1.1 200 ")
        slow.sendall(b"1\r\nx\r\n")
        assert answer_of(slow) == b""


def test_large_bodies_beyond_the_bound_are_refused_for_now_and_small_ones_are_not(postgres: Any) -> None:
    with served(postgres, Limits(bodies_bytes=MAX_BODY_BYTES)) as world:
        large = b"{" + b" " * LARGE + b"}"
        with connection(world) as slow:
            slow.sendall(b"POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n{" % LARGE)
            answer = world.http.post("/v1/rank", content=large, headers=JSON)
            while answer.status_code != 429:  # until the other one is under way
                answer = world.http.post("/v1/rank", content=large, headers=JSON)
            world.problem(answer, 429)
            assert answer.headers["retry-after"] == "1"
            world.problem(world.http.post("/v1/rank", json={}), 422)
        while world.http.post("/v1/rank", content=large, headers=JSON).status_code == 429:
            pass  # until it is seen that the client left
        world.problem(world.http.post("/v1/rank", content=large, headers=JSON), 422)


class Slow(World):
    """Scores and predicts when it is let go."""

    def __init__(self, database_url: str, limits: Limits) -> None:
        self.asked, self.let_go = Event(), Event()
        self.predicted = 0
        super().__init__(database_url, limits, rank_items=2)

    def score(self, samples: Sequence[Sample], estimators: Sequence[str]) -> tuple[str, dict[str, list[float]]]:
        self.asked.set()
        self.let_go.wait()
        return super().score(samples, estimators)

    def predict(self, pairs: Sequence[Pair]) -> tuple[Predictions, int]:
        self.predicted += 1
        self.asked.set()
        self.let_go.wait()
        return super().predict(pairs)

    def close(self) -> None:
        self.let_go.set()
        super().close()


RANKING_ITEMS = [{"item": "i", "text": "t"}] * 2
RANKING = {"query": "q", "surface": "ad", "items": RANKING_ITEMS}
SCORING = {"samples": [{"query": "q", "text": "t"}], "estimators": ["entropy"]}


@pytest.fixture
def slow(postgres: Any) -> Iterator[Slow]:
    world = Slow(postgres.database(), Limits(scorings=1))
    yield world
    world.close()


@pytest.mark.parametrize(
    ("path", "asked", "setting"),
    [("/v1/score", SCORING, "WEIR_API_SCORINGS"), ("/v1/rank", RANKING, "WEIR_RANK_QUEUE_ITEMS")],
)
def test_scorings_and_rankings_beyond_their_bound_are_refused_for_now(
    slow: Slow, path: str, asked: dict[str, Any], setting: str
) -> None:
    with ThreadPoolExecutor(1) as others:
        first = others.submit(slow.http.post, path, json=asked)
        slow.asked.wait()
        answer = slow.http.post(path, json=asked)
        assert setting in slow.problem(answer, 429)["detail"]
        assert answer.headers["retry-after"] == "1"
        assert slow.http.get("/healthz").status_code == 200
        slow.let_go.set()
        assert first.result().status_code == 200
    assert slow.http.post(path, json=asked).status_code == 200


def test_nothing_is_predicted_for_a_client_that_has_left(slow: Slow) -> None:
    asked = {**RANKING, "items": RANKING_ITEMS[:1]}
    body = json.dumps(asked).encode()
    head = b"POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body

    def full() -> bool:
        try:
            slow.rankings.submit([("t", "q")]).cancel()
        except TooMany:
            return True
        return False

    left = 'weir_http_requests_total{method="POST",route="/v1/rank",status="499"} 1.0'
    with connection(slow) as first:
        first.sendall(request)
        slow.asked.wait()
        with connection(slow) as second:
            second.sendall(request)
            until("a second ranking that waits", full)
        until("a client that has left", lambda: left in slow.http.get("/metrics").text)
        slow.let_go.set()
        assert slow.http.post("/v1/rank", json=asked).status_code == 200
    assert slow.predicted == 2


class Reading(World):
    """Reads contexts from a database that hangs until it is let go."""

    def __init__(self, database_url: str) -> None:
        self.asked, self.let_go = Semaphore(0), Event()
        super().__init__(database_url, rank_items=60)

    def recent_texts(self, subject: str) -> Sequence[str]:
        self.asked.release()
        self.let_go.wait()
        raise Unavailable(f"nothing is read of {subject}")


def test_rankings_that_wait_for_a_context_are_counted_and_others_are_answered(postgres: Any) -> None:
    world = Reading(postgres.database())
    item = {"item": "i", "text": "t"}
    body = json.dumps({"query": "", "surface": "ad", "subject": "ann", "items": [item]}).encode()
    head = b"POST /v1/rank HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    try:
        with ExitStack() as opened:
            waiting = [opened.enter_context(connection(world)) for _ in range(45)]  # more than the threads of routes
            for each in waiting:
                each.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            for _ in range(MAX_READING):
                world.asked.acquire()
            asked = {"query": "q", "surface": "ad", "items": [item] * 16}
            until("45 rankings that wait", lambda: world.http.post("/v1/rank", json=asked).status_code == 429)
            assert world.http.post("/v1/rank", json={**asked, "items": [item]}).status_code == 200
            assert world.http.get("/v1/models").status_code == 200
            world.let_go.set()
            assert all(first_answer_of(each).startswith(b"HTTP/1.1 200 ") for each in waiting)
    finally:
        world.let_go.set()
        world.close()


class Asking(World):
    """Asks Kafka for its status until it is let go."""

    def __init__(self, database_url: str) -> None:
        self.asked, self.let_go = Semaphore(0), Event()
        super().__init__(database_url)

    def status(self) -> Status:
        self.asked.release()
        self.let_go.wait()
        return super().status()


def test_a_slow_status_is_refused_for_now_where_many_wait_and_others_are_answered(postgres: Any) -> None:
    world = Asking(postgres.database())
    asked = {"query": "q", "surface": "ad", "items": [{"item": "i", "text": "t"}]}
    try:
        with ThreadPoolExecutor(MAX_ASKING) as others:
            waiting = [others.submit(httpx.get, f"{world.server.url}/v1/status", timeout=60) for _ in range(MAX_ASKING)]
            for _ in waiting:
                world.asked.acquire()
            for _ in range(60):
                answer = world.http.get("/v1/status")
                world.problem(answer, 429)
            assert answer.headers["retry-after"] == "1"
            assert world.http.post("/v1/rank", json=asked).status_code == 200
            world.let_go.set()
            assert [each.result().status_code for each in waiting] == [200] * MAX_ASKING
        assert world.http.get("/v1/status").status_code == 200
    finally:
        world.let_go.set()
        world.close()


def test_histories_beyond_their_bound_are_refused_for_now(world: World) -> None:
    waiting = sa.text("SELECT count(*) FROM pg_locks WHERE relation = 'model_lineage'::regclass AND NOT granted")
    with world.engine.begin() as lineages, ThreadPoolExecutor(MAX_HISTORIES) as others:
        lineages.execute(sa.text("LOCK TABLE model_lineage IN ACCESS EXCLUSIVE MODE"))
        first = [others.submit(world.http.get, "/v1/history/s1") for _ in range(MAX_HISTORIES)]
        until("histories that wait", lambda: lineages.scalar(waiting) == MAX_HISTORIES)
        world.problem(world.http.get("/v1/history/s1"), 429)
        assert world.http.get("/v1/models").status_code == 200
        lineages.commit()
        assert [each.result().status_code for each in first] == [200] * MAX_HISTORIES
    assert world.http.get("/v1/history/s1").status_code == 200


def test_a_page_of_a_listed_origin_may_ask(postgres: Any) -> None:
    with served(postgres, Limits(origins=("http://localhost:3000",))) as world:
        asked = {"Origin": "http://localhost:3000"}
        assert world.http.get("/healthz", headers=asked).status_code == 200
        refused = world.problem(world.http.get("/healthz", headers={"Origin": "http://localhost:3001"}), 403)
        assert "WEIR_API_ORIGINS" in refused["detail"]


def test_requests_are_counted_by_route_from_zero_on(world: World) -> None:
    def requests(route: str, method: str, status: int) -> list[str]:
        named = f'weir_http_requests_total{{method="{method}",route="{route}",status="{status}"}} '
        lines = world.http.get("/metrics").text.splitlines()
        return [line.removeprefix(named) for line in lines if line.startswith(named)]

    assert requests("/v1/models/{version}", "GET", 200) == ["0.0"]
    assert requests("/v1/rank", "POST", 422) == ["0.0"]
    world.register("v1")
    world.http.get("/v1/models/v1")
    world.http.post("/v1/rank", json={})
    world.http.get("/made/up")
    assert requests("/v1/models/{version}", "GET", 200) == ["1.0"]
    assert requests("/v1/rank", "POST", 422) == ["1.0"]
    assert requests("other", "GET", 404) == ["1.0"]
    assert 'weir_http_request_seconds_count{method="POST",route="/v1/rank"} 1.0' in world.http.get("/metrics").text
