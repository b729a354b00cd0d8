"""Whatever the interface's own description allows, and what it does not, is answered without a fault of the server."""

from collections import Counter
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from .conftest import World

EXAMPLES = 10  # of each route, of what is allowed, and of what is not


def test_nothing_that_can_be_asked_is_answered_with_a_server_error(world: World) -> None:
    world.register("v1", "v2")
    world.fill()
    description = schemathesis.openapi.from_url(f"{world.server.url}/openapi.json").exclude(
        path="/v1/stream"
    )  # endless
    answers: Counter[int] = Counter()
    asked: set[str] = set()

    def ask(case: schemathesis.Case) -> None:
        answer = case.call()
        answers[answer.status_code] += 1
        asked.add(case.operation.label)
        assert answer.status_code < 500, f"{case.as_curl_command()}: {answer.status_code} {answer.text[:500]}"

    for result in description.get_all_operations():
        for mode in GenerationMode:
            with suppress(Unsatisfiable):  # a route without parameters has nothing that is not allowed
                _some(given(result.ok().as_strategy(generation_mode=mode))(ask))()
    assert asked == {result.ok().label for result in description.get_all_operations()}
    assert answers[200] > 0
    assert answers[422] > 0


def _some(test: Any) -> Any:
    """The same few examples each time: the long search is done by hand."""
    chosen = settings(
        max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    return chosen(test)
