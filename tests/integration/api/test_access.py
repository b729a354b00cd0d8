"""Who may call what: every route with every kind of caller, over real HTTP and a real database."""

from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from io import StringIO
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from storage.audit import Author, Via
from storage.tokens import Role
from tests.support.waiting import until
from weir.api.limits import Limits
from weir.api.permissions import Routers
from weir.api.routes import create_routers
from weir.process import logs

from .conftest import World, answer_of, connection

SAMPLE = {"query": "q", "text": "t", "label": 1}
BODIES: dict[str, object] = {
    "/v1/score": {"samples": [SAMPLE], "estimators": ["entropy"]},
    "/v1/rank": {"query": "q", "surface": "search", "items": [{"item": "i", "text": "t"}]},
    "/v1/models/rollback": {"reason": "worse", "version": "v404"},
}
NEEDED = {
    "GET /healthz": None,
    "GET /readyz": None,
    "GET /metrics": Role.VIEWER,
    "GET /openapi.json": Role.VIEWER,
    "GET /docs": Role.VIEWER,
    "POST /v1/score": Role.SCORER,
    "POST /v1/rank": Role.SCORER,
    "GET /v1/models": Role.VIEWER,
    "GET /v1/models/log": Role.VIEWER,
    "GET /v1/models/{version}": Role.VIEWER,
    "GET /v1/models/{version}/lineage": Role.VIEWER,
    "POST /v1/models/{version}/promote": Role.OPERATOR,
    "POST /v1/models/{version}/lift": Role.OPERATOR,
    "POST /v1/models/rollback": Role.OPERATOR,
    "POST /v1/training/freeze": Role.OPERATOR,
    "POST /v1/training/unfreeze": Role.OPERATOR,
    "POST /v1/training/run": Role.OPERATOR,
    "GET /v1/buffer": Role.VIEWER,
    "GET /v1/drift": Role.VIEWER,
    "GET /v1/selection": Role.VIEWER,
    "GET /v1/samples": Role.VIEWER,
    "GET /v1/samples/{id:path}": Role.VIEWER,
    "GET /v1/history/{id:path}": Role.VIEWER,
    "DELETE /v1/subjects/{id:path}": Role.OPERATOR,
    "GET /v1/stream": Role.VIEWER,
    "GET /v1/status": Role.VIEWER,
    "GET /v1/audit": Role.VIEWER,
}
CALLERS = {
    Role.VIEWER: {Role.VIEWER},
    Role.SCORER: {Role.SCORER},
    Role.OPERATOR: {Role.VIEWER, Role.SCORER, Role.OPERATOR},
}


def declared(routers: Routers) -> dict[str, Role | None]:
    """Every route with the role of the router that it is declared at."""
    return {
        f"{method} {route.path}": role
        for role, router in routers.by_role.items()
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }


@pytest.fixture(scope="module")
def exposed(postgres: Any) -> Iterator[World]:
    """An interface as it is off loopback, with a version that serves."""
    world = World(postgres.database(), Limits(hosts=None), exposed=True, failures=1_000)
    world.register("v1", "v2")
    yield world
    world.close()


@pytest.fixture(scope="module")
def headers(exposed: World) -> dict[str, dict[str, str]]:
    """What each kind of caller sends."""
    found = {str(role): exposed.token(f"of-{role}", role) for role in Role}
    found["revoked"] = exposed.token("revoked", Role.OPERATOR)
    exposed.tokens.revoke("revoked", Author("test", Via.CLI))
    found["expired"] = exposed.token("expired", Role.OPERATOR, timedelta(microseconds=1))
    return found | {"none": {}}


def call(world: World, route: str, headers: dict[str, str]) -> httpx.Response:
    method, path = route.split(" ")
    with world.http.stream(
        method, path.replace("{version}", "v404").replace("{id:path}", "s"), headers=headers, json=BODIES.get(path)
    ) as answer:
        if path != "/v1/stream" or answer.status_code != HTTPStatus.OK:
            answer.read()  # the stream is endless
    return answer


def test_the_table_of_roles_is_the_one_of_the_routes(exposed: World) -> None:
    assert declared(create_routers(exposed.context)) == NEEDED
    assert len(exposed.app.routes) == len(Routers().by_role)  # the framework adds none of its own


@pytest.mark.parametrize("route", NEEDED)
def test_a_route_is_answered_to_callers_of_its_role_only(
    exposed: World, headers: dict[str, dict[str, str]], route: str
) -> None:
    needed = NEEDED[route]
    for role in Role:
        answer = call(exposed, route, headers[role])
        if needed is None or needed in CALLERS[role]:
            assert answer.status_code not in (401, 403), (role, answer.text)
            continue
        detail = exposed.problem(answer, 403)["detail"]
        assert detail == f"this needs the role {needed}, and the token of-{role} has the role {role}"
        assert f'scope="{needed}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("route", NEEDED)
@pytest.mark.parametrize("caller", ["none", "revoked", "expired"])
def test_without_a_live_token_only_the_probes_are_answered(
    exposed: World, headers: dict[str, dict[str, str]], route: str, caller: str
) -> None:
    answer = call(exposed, route, headers[caller])
    if NEEDED[route] is None:
        assert answer.status_code == 200
        return
    problem = exposed.problem(answer, 401)
    assert answer.headers["www-authenticate"].startswith('Bearer realm="weir"')
    expected = {"none": "it needs a token", "revoked": "revoked was revoked", "expired": "expired has expired"}
    assert expected[caller] in problem["detail"]


@pytest.mark.parametrize(("caller", "status"), [("viewer", 403), ("revoked", 401)])
def test_who_may_not_score_is_refused_before_the_body_is_read(
    exposed: World, headers: dict[str, dict[str, str]], caller: str, status: int
) -> None:
    with connection(exposed) as waiting:
        waiting.sendall(
            b"POST /v1/score HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: 1000000\r\nAuthorization: %s\r\n\r\n" % headers[caller]["Authorization"].encode()
        )
        assert answer_of(waiting).startswith(b"HTTP/1.1 %d " % status)
    route = {401: "other", 403: "/v1/score"}[status]
    counted = f'weir_http_requests_total{{method="POST",route="{route}",status="{status}"}}'
    assert counted in exposed.context.render_metrics()[0].decode()


def test_readiness_shows_no_more_than_names_where_anyone_may_ask(exposed: World) -> None:
    exposed.reasons = {"storage": 'no password for user "weir" at db.internal'}
    exposed.degraded.append("the worker 7 of host-3 is gone")
    try:
        answer = exposed.http.get("/readyz")
    finally:
        exposed.reasons = {}
        exposed.degraded.clear()
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "reasons": ["storage"], "degraded": []}


def test_an_unknown_path_shows_nothing_without_a_token(exposed: World, headers: dict[str, dict[str, str]]) -> None:
    exposed.problem(exposed.http.get("/v1/nothing"), 401)
    exposed.problem(exposed.http.get("/v1/nothing", headers=headers["viewer"]), 404)


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer weir_x", "Basic YTpi", "weir_x", "bearer \xff"])
def test_what_is_not_a_token_is_a_401_that_does_not_repeat_it(exposed: World, sent: str) -> None:
    answer = exposed.http.get("/v1/models", headers={"Authorization": sent.encode("latin-1")})  # type: ignore[dict-item]
    exposed.problem(answer, 401)
    assert answer.headers["www-authenticate"] == 'Bearer realm="weir", error="invalid_token"'
    assert "weir_x" not in answer.text


def test_without_any_token_loopback_is_open_until_the_first_is_created_and_never_again(world: World) -> None:
    world.register("v1")
    assert world.http.post("/v1/training/freeze").json() == {"frozen": True}
    header = world.token("ci", Role.OPERATOR)

    def is_closed() -> bool:
        return world.http.get("/v1/models").status_code == HTTPStatus.UNAUTHORIZED

    until("closed", is_closed)
    assert world.http.get("/v1/models", headers=header).status_code == 200
    world.tokens.revoke("ci", Author("test", Via.CLI))
    until("revoked", lambda: world.http.get("/v1/models", headers=header).status_code == HTTPStatus.UNAUTHORIZED)
    assert world.http.get("/v1/models").status_code == 401


def test_a_new_token_is_accepted_at_once(exposed: World) -> None:
    assert exposed.http.get("/v1/models").status_code == 401  # the tokens were just read
    assert exposed.http.get("/v1/models", headers=exposed.token("new", Role.VIEWER)).status_code == 200


def test_a_revocation_ends_what_listens_to_the_live_state(exposed: World) -> None:
    header = exposed.token("listener", Role.VIEWER)
    with exposed.http.stream("GET", "/v1/stream", headers=header) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: ")
        exposed.tokens.revoke("listener", Author("test", Via.CLI))
        list(lines)  # ends


def test_the_actor_of_a_change_is_the_name_of_the_token_and_no_body_sets_it(world: World) -> None:
    world.register("v1", "v2")
    header = world.token("boss", Role.OPERATOR)
    body = {"reason": "clicks fell", "actor": "someone else"}
    world.problem(world.http.post("/v1/models/rollback", json=body, headers=header), 422)
    asked = {"json": {"reason": "clicks fell"}, "headers": header}
    assert world.http.post("/v1/models/rollback?actor=someone", **asked).status_code == 200  # type: ignore[arg-type]
    assert world.http.post("/v1/training/unfreeze", headers=header).status_code == 200
    assert world.http.post("/v1/training/run", headers=header).status_code == 202
    found = world.http.get("/v1/audit", headers=header).json()["entries"]
    assert [(x["actor"], x["via"], x["action"], x["target"]) for x in found[:3]] == [
        ("boss", "http", "training.run", ""),
        ("boss", "http", "training.unfreeze", ""),
        ("boss", "http", "models.rollback", "v1"),
    ]
    assert world.waiting_request()[0] == world.registry.log()[-1].actor == "boss"


def test_the_audit_log_is_read_a_page_at_a_time(world: World) -> None:
    world.register("v1", "v2", "v3")
    page = world.http.get("/v1/audit?limit=2").json()
    assert [entry["target"] for entry in page["entries"]] == ["v3", "v2"]
    rest = world.http.get("/v1/audit", params={"limit": 2, "before": page["next"]}).json()
    assert ([entry["target"] for entry in rest["entries"]], rest["next"]) == (["v1"], None)
    assert len(world.http.get("/v1/audit?actor=test&action=models.promote").json()["entries"]) == 3
    assert world.http.get("/v1/audit?since=2100-01-01T00:00:00Z").json()["entries"] == []
    for wrong in ("since=2100-01-01T00:00:00", "since=x", "limit=0", "limit=501", "before=0", "actor="):
        world.problem(world.http.get(f"/v1/audit?{wrong}"), 422)


def test_the_last_use_of_a_token_is_recorded(exposed: World) -> None:
    header = exposed.token("used", Role.VIEWER)
    assert exposed.http.get("/v1/models", headers=header).status_code == 200
    assert next(token for token in exposed.tokens.all() if token.name == "used").last_used is not None


def test_too_many_wrong_tokens_are_a_429_and_a_valid_one_of_the_same_address_passes(postgres: Any) -> None:
    world = World(postgres.database(), exposed=True, failures=3)
    try:
        header = world.token("ci", Role.VIEWER)
        guesses = [world.http.get("/v1/models", headers={"Authorization": f"Bearer weir_{i}"}) for i in range(5)]
        assert [guess.status_code for guess in guesses] == [401, 401, 401, 429, 429]
        assert "WEIR_API_AUTH_FAILURES" in world.problem(guesses[4], 429)["detail"]
        assert 1 <= int(guesses[4].headers["retry-after"]) <= 60
        assert world.http.get("/v1/models", headers=header).status_code == 200
        assert world.http.get("/v1/models").status_code == 401  # nothing was presented
        assert world.http.get("/healthz").status_code == 200
    finally:
        world.close()


def test_tokens_are_known_for_a_while_without_postgres_and_then_it_is_a_503(own_postgres: Any) -> None:
    world = World(own_postgres.database(), exposed=True)
    try:
        header = world.token("ci", Role.SCORER)

        def rank() -> int:
            return world.http.post("/v1/rank", json=BODIES["/v1/rank"], headers=header).status_code

        assert rank() == 200
        own_postgres.kill()
        until("503", lambda: rank() == HTTPStatus.SERVICE_UNAVAILABLE)
        assert world.http.get("/healthz").status_code == 200
        own_postgres.start()
        until("200", lambda: rank() == HTTPStatus.OK)
    finally:
        world.close()


def test_no_token_is_in_a_log_an_answer_or_a_metric(world: World) -> None:
    log = StringIO()
    logs.configure("debug", "api", out=log)
    valid = world.token("ci", Role.VIEWER)
    secret = valid["Authorization"].removeprefix("Bearer ")
    wrong = {"Authorization": f"Bearer {secret[:-1]}"}
    answers = [call(world, route, header) for route in NEEDED if route != "GET /v1/stream" for header in (valid, wrong)]
    world.context.registry.__dict__["_engine"] = None  # an internal error, with its traceback in the log
    answers.append(world.http.get("/v1/models", headers=valid))
    assert answers[-1].status_code == 500
    assert "Traceback" in log.getvalue()
    everything = log.getvalue() + "".join(f"{answer.text}{answer.headers}" for answer in answers)
    assert secret[5:-1] not in everything


def test_a_listed_page_may_ask_with_a_token_after_a_preflight_without(postgres: Any) -> None:
    world = World(postgres.database(), Limits(origins=("https://shop.example",), hosts=None), exposed=True)
    try:
        asking = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST",
                  "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
        answer = world.http.options("/v1/rank", headers=asking)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
        refused = world.http.get("/v1/models", headers={"Origin": "https://shop.example"})
        assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://shop.example")
        world.problem(world.http.options("/v1/rank", headers=asking | {"Origin": "https://evil.example"}), 403)
    finally:
        world.close()
