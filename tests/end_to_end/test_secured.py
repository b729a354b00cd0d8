"""Every role and every command that uses Kafka, as processes, over SASL_SSL and mutual TLS."""

import json
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaProducer

from stream.connection import KafkaConnection, TokenSource
from tests.conftest import TestPostgres
from tests.support.role import not_ready, running, until_alive
from tests.support.secured import PASSWORD, USER, Authority, SecuredKafka, unsecured_token
from tests.support.secured_environment import environment

pytestmark = pytest.mark.soak  # three roles for each way: minutes of CPU

QUICK: dict[str, object] = {
    "ESTIMATOR": "uniform",
    "BUFFER_CAPACITY": 400,
    "ATTRIBUTION_WINDOW_SECONDS": 60,
    "IDLE_SECONDS": 1,
    "PARTITIONS": 2,
    "RETRY_LIMIT_SECONDS": 1,
    "API_PORT": 0,
}


def by(way: str, server: SecuredKafka) -> KafkaConnection:
    login = KafkaConnection(server.sasl, "SASL_SSL", "SCRAM-SHA-512", USER, PASSWORD, ca_file=server.authority.file)
    if way == "certificate":
        ours = server.authority.issue("client")
        return KafkaConnection(server.mutual, "SSL", ca_file=server.authority.file, certificate_file=ours)
    if way == "token":
        file = server.authority.folder / "token"
        file.write_text(unsecured_token(), encoding="utf-8")
        return replace(
            login, mechanism="OAUTHBEARER", username="", password="", tokens=TokenSource(command=f"cat {file}")
        )
    return login


def weir(given: dict[str, str], *words: str) -> tuple[int, str]:
    """Run a command, print what an operator would see, and give its status and standard output."""
    done = subprocess.run(
        [sys.executable, "-m", "weir", *words], env=given, capture_output=True, text=True, check=False,
        cwd=given["WEIR_HOME"],
    )  # fmt: skip
    print(f"$ weir {' '.join(words)}  -> {done.returncode}\n{done.stdout}{done.stderr}", flush=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("way", ["login", "certificate", "token"])
def test_every_role_and_command_goes_the_secured_way(
    way: str, secured: SecuredKafka, postgres: TestPostgres, model: Path, tmp_path: Path
) -> None:
    connection = by(way, secured)
    given = environment(
        connection, tmp_path, **QUICK, DATABASE_URL=postgres.database(), MODEL=model, TOPIC_PREFIX=f"{way}-",
        CONSUMER_GROUP=way,
    )  # fmt: skip
    for words in (("migrate",), ("topics",), ("models", "init", "--untrained"), ("topics", "--check")):
        assert weir(given, *words)[0] == 0
    producer = KafkaProducer(bootstrap_servers=secured.bootstrap, acks="all")
    producer.send(f"{way}-interactions", b"{", b"ann").get(timeout=30)
    producer.close()
    assert weir(given, "replay", "simulation", "--limit", "300")[0] == 0
    with ExitStack() as stack:
        roles = [stack.enter_context(running(role, tmp_path, given)) for role in ("worker", "trainer", "api")]
        for role in roles:
            until_alive(f"ready {role.name}", lambda role=role: not_ready(role) == [], roles)

        def all_decided() -> bool:
            partitions = json.loads(weir(given, "status", "--json")[1])["partitions"]
            return bool(partitions) and all(found["undecided"] == 0 for found in partitions)

        until_alive("all decided", all_decided, roles)
        assert weir(given, "status")[0] == 0
        assert weir(given, "dead-letters", "list")[0] == 0
        assert weir(given, "dead-letters", "redrive", "--all")[0] == 0
        assert weir(given, "partitions", "list")[0] == 0
        assert weir(given, "replay", f"topic:{way}-importance")[0] == 0
        found = {row["name"]: row["state"] for row in json.loads(weir(given, "check", "--json")[1])}
        assert {found[name] for name in ("kafka", "topics", "worker", "trainer", "api")} == {"ok"}


def test_a_role_with_wrong_credentials_says_in_a_line_what_is_wrong(
    secured: SecuredKafka, postgres: TestPostgres, model: Path, tmp_path: Path
) -> None:
    login, mutual = by("login", secured), by("certificate", secured)
    wrong = {
        "WEIR_KAFKA_USERNAME and WEIR_KAFKA_PASSWORD": replace(login, password="wrong"),
        "set WEIR_KAFKA_CA_FILE": replace(login, ca_file=Authority(tmp_path, "stranger").file),
        "not expired": replace(mutual, certificate_file=secured.authority.issue("expired", days=-10)),
    }
    url = postgres.database()
    others = {**QUICK, "DATABASE_URL": url, "MODEL": model, "TOPIC_PREFIX": "wrong-"}
    assert weir(environment(login, tmp_path, **others), "migrate")[0] == 0
    for remedy, connection in wrong.items():
        given = environment(connection, tmp_path / remedy.split()[0], **others)
        Path(given["WEIR_HOME"]).mkdir()
        for words in (("topics",), ("replay", "simulation", "--limit", "1"), ("dead-letters", "list"), ("check",)):
            assert weir(given, *words)[0] == 1
        weir(given, "status")
        with running("worker", Path(given["WEIR_HOME"]), given) as worker:
            until_alive("the reason", lambda worker=worker, remedy=remedy: any(
                line.startswith("kafka: ") and remedy in line for line in not_ready(worker)
            ), [worker])  # fmt: skip
            print("worker /readyz:", *not_ready(worker), sep="\n", flush=True)
