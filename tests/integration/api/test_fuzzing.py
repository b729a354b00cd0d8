"""Whatever the interface's own description allows, and what it does not, is answered without a fault of the server."""

from collections import Counter
from contextlib import suppress
from typing import Any

import schemathesis
import sqlalchemy as sa
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from storage.tokens import Role

from .conftest import World

EXAMPLES = 10  # of each route, of what is allowed, and of what is not


def test_nothing_that_can_be_asked_is_answered_with_a_server_error(world: World) -> None:
    world.register("v1", "v2")
    world.fill()
    answers = _asked(world, {})
    assert {status for _, status in answers} >= {200, 422}


def test_whatever_a_viewer_asks_changes_nothing(world: World) -> None:
    world.register("v1", "v2")
    world.fill()
    header = world.token("dashboard", Role.VIEWER)
    log = world.http.get("/v1/audit", headers=header).json()
    before = _tables(world)
    answers = _asked(world, header)
    assert {status for label, status in answers if label.startswith("POST")} <= {401, 403, 422, 429}
    assert {status for label, status in answers if label.startswith("GET")} >= {200, 422}
    assert world.http.get("/v1/audit", headers=header).json() == log
    assert _tables(world) == before


def _asked(world: World, header: dict[str, str]) -> Counter[tuple[str, int]]:
    """Ask every route for what its description allows and does not; gives how often each was answered how."""
    address = f"{world.server.url}/openapi.json"
    description = schemathesis.openapi.from_url(address, headers=header).exclude(path="/v1/stream")  # endless
    answers: Counter[tuple[str, int]] = Counter()

    def ask(case: schemathesis.Case) -> None:
        answer = case.call(headers=header)
        answers[case.operation.label, answer.status_code] += 1
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.status_code} {answer.text[:500]}"

    for result in description.get_all_operations():
        for mode in GenerationMode:
            with suppress(Unsatisfiable):  # a route without parameters has nothing that is not allowed
                _some(given(result.ok().as_strategy(generation_mode=mode))(ask))()
    assert {label for label, _ in answers} == {result.ok().label for result in description.get_all_operations()}
    return answers


def _tables(world: World) -> dict[str, list[str]]:
    """Every row of every table, except the time of a token's last use."""
    with world.engine.connect() as connection:
        return {
            name: sorted(str(row) for row in connection.execute(sa.text(f"SELECT * FROM {name}")))
            for name in sa.inspect(connection).get_table_names()
            if name != "api_tokens"
        }


def _some(test: Any) -> Any:
    """The same few examples each time: the long search is done by hand."""
    chosen = settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    return chosen(test)
