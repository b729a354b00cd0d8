"""Postgres, then Kafka, stopped for two minutes under load: probes tell soon, nobody waits, nothing is lost."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import httpx
import psutil
import pytest

from tests.conftest import TestPostgres
from tests.support.comparison import assert_as_told, published_scores
from tests.support.feeder import STEP_MS, Feeder
from tests.support.oracle import Oracle
from tests.support.role import RoleProcess, not_ready, page, running
from tests.support.rollback import register
from tests.support.service import WINDOW_MS, Service
from tests.support.traffic import START_MS
from tests.support.visitors import Request, Visitor, told
from tests.support.waiting import until
from weir.local.kafka import KafkaServer

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_800)]

STOPPED_SECONDS = 120.0
PER_SECOND = 50
ROLES = ("worker", "trainer", "api")
ITEMS = {"query": "lamp", "surface": "search", "items": [{"item": "a", "text": "lamp"}, {"item": "b", "text": "mug"}]}


def test_nothing_is_lost_while_postgres_and_kafka_hang_and_nobody_waits_for_them(
    mortal: Service, own_kafka: KafkaServer, own_postgres: TestPostgres, capsys: pytest.CaptureFixture[str]
) -> None:
    version = register(mortal, seed=2)
    lines = []
    with ExitStack() as stack:
        environment = mortal.environment | {"WEIR_API_PORT": "0"}
        roles = [stack.enter_context(running(role, mortal.home, environment)) for role in ROLES]
        mortal.until("every role", lambda: not any(map(not_ready, roles)))
        feeder = stack.enter_context(Feeder(own_kafka.bootstrap, mortal.topic, PER_SECOND))
        visitors = [stack.enter_context(visitor) for visitor in _visitors(roles)]
        mortal.until("the first samples", lambda: mortal.decided() > 0)
        for name, stopped in (("Postgres", _of_postgres(own_postgres)), ("Kafka", _of_kafka(own_kafka))):
            before = mortal.decided()
            with _hanging(stopped) as began:
                if name == "Kafka":
                    _until_seen(roles)
                    lines.append(_promote(roles[-1], version))
                time.sleep(max(0.0, began + STOPPED_SECONDS - time.monotonic()))
            resumed = time.monotonic()
            mortal.until("every role again", lambda: not any(map(not_ready, roles)))
            mortal.until("what came meanwhile", lambda at=before: mortal.decided() > at + PER_SECOND * STOPPED_SECONDS)
            lines += list(_figures(name, visitors, began, resumed))
        assert all(role.alive for role in roles)
        sent = feeder.end()
        oracle = Oracle(mortal.settings, mortal.topic)
        mortal.beat(START_MS + sent * STEP_MS + 3 * WINDOW_MS)
        mortal.until_decided(oracle.read())
    samples = assert_as_told(mortal, oracle)
    published = published_scores(mortal)
    assert samples == len({each.sample for each in published}) == sent
    lines.append(
        f"{sent} impressions sent, {sum(oracle.ends.values())} records in the topic, {samples} samples in Postgres, "
        f"{len(published)} scores published of {samples} samples, {len(oracle.dead)} dead letters"
    )
    with capsys.disabled():
        print("", *lines, sep="\n")


def _visitors(roles: Sequence[RoleProcess]) -> list[Visitor]:
    """One for the readiness of each role, and one for each kind of request."""
    api = page(roles[-1])
    requests = {
        "GET /v1/models": Request("GET", f"{api}/v1/models"),
        "GET /v1/status": Request("GET", f"{api}/v1/status"),
        "POST /v1/rank": Request("POST", f"{api}/v1/rank", ITEMS),
        "GET /healthz": Request("GET", f"{api}/healthz"),
    }
    probes = {f"/readyz of {role.name}": Request("GET", f"{page(role)}/readyz") for role in roles}
    return [Visitor(name, request) for name, request in (probes | requests).items()]


def _of_postgres(server: TestPostgres) -> Callable[[], list[psutil.Process]]:
    """The server's processes as they are then: one for each connection."""

    def processes() -> list[psutil.Process]:
        postmaster = psutil.Process(server.pid)
        return [postmaster, *postmaster.children()]

    return processes


def _of_kafka(server: KafkaServer) -> Callable[[], list[psutil.Process]]:
    return lambda: [psutil.Process(server.pid)]


@contextmanager
def _hanging(processes: Callable[[], list[psutil.Process]]) -> Iterator[float]:
    """A server that is stopped for the length of a block; since when, in monotonic seconds."""
    stopped = processes()
    for process in stopped:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        for process in stopped:
            os.kill(process.pid, signal.SIGCONT)


def _until_seen(roles: Sequence[RoleProcess]) -> None:
    until("roles that are not ready", lambda: all(map(not_ready, roles)), STOPPED_SECONDS)


def _promote(api: RoleProcess, version: str) -> str:
    """Promote while Kafka hangs: the change is made, and the worker finds it in the promotion log."""
    began = time.monotonic()
    answer = httpx.post(f"{page(api)}/v1/models/{version}/promote", timeout=300)
    assert answer.status_code == 200, answer.text
    return f"Kafka stopped: a promotion was answered 200 in {time.monotonic() - began:.1f} s"


def _figures(name: str, visitors: Sequence[Visitor], began: float, resumed: float) -> Iterator[str]:
    """What visitors saw of a server that was stopped; nobody may have waited for as long as it was."""
    for visitor in visitors:
        answers = visitor.during(began, resumed)
        assert max(each.seconds for each in answers) < STOPPED_SECONDS / 2
        assert all(each.retry_after for each in answers if each.status == 503 and "/v1/" in visitor.name)
        line = f"{name} stopped: {visitor.name}: {told(answers)}"
        if "/readyz" in visitor.name:
            away, back = visitor.first(503, began), visitor.first(200, resumed)
            assert away is not None
            assert away < resumed - began
            line += f"; 503 after {away:.1f} s, 200 again {back:.1f} s after it went on"
        yield line
