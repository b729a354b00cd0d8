"""Operations over a real database: each is recorded with actor and reason, and made before it is announced."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from importance.errors import Conflict
from storage import migrate
from storage.artifacts import Artifacts
from storage.audit import Via
from storage.engine import Engine, create_engine
from storage.registry import Entry, Kind, Registry
from tests.conftest import TestPostgres
from weir.operations import Announce, Operations, announcer
from weir.settings import Settings


@pytest.fixture
def engine(postgres: TestPostgres) -> Iterator[Engine]:
    """A database with two versions, none of them promoted."""
    engine = create_engine(postgres.database())
    migrate.upgrade(engine)
    for version in ("v1", "v2"):
        Registry(engine).register(version, f"{version}-artifact", "ab" * 32)
    yield engine
    engine.dispose()


def operations(engine: Engine, announce: Announce) -> Operations:
    return Operations(engine, Artifacts("memory://operations"), list[str]().append, Via.CLI, announce)


def test_a_change_is_recorded_before_it_is_announced(engine: Engine) -> None:
    seen: list[tuple[Entry, list[Entry]]] = []
    changing = operations(engine, lambda entry: seen.append((entry, Registry(engine).log())))
    entry = changing.promote_new("v1", actor="ann", reason="better")
    assert (entry.kind, entry.to_version, entry.actor, entry.reason) == (Kind.PROMOTE, "v1", "ann", "better")
    assert seen == [(entry, [entry])]


def test_a_refused_change_is_not_announced(engine: Engine) -> None:
    announced: list[Entry] = []
    changing = operations(engine, announced.append)
    with pytest.raises(Conflict, match="no version to roll back to"):
        changing.rollback(None, actor="ann", reason="worse")
    assert announced == []


def test_freeze_and_unfreeze_are_recorded_and_not_announced(engine: Engine) -> None:
    announced: list[Entry] = []
    changing = operations(engine, announced.append)
    frozen = changing.freeze(actor="ann", reason="holidays")
    resumed = changing.unfreeze(actor="bob", reason="back at work")
    assert [entry.kind for entry in Registry(engine).log()] == [Kind.FREEZE, Kind.UNFREEZE]
    assert [(entry.actor, entry.reason) for entry in (frozen, resumed)] == [
        ("ann", "holidays"),
        ("bob", "back at work"),
    ]
    assert announced == []


def test_a_second_request_to_train_joins_the_first(engine: Engine) -> None:
    changing = operations(engine, lambda _: None)
    assert [changing.train_now(actor="ann", reason="new season") for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("bootstrap", "trouble", "reported"),
    [
        ("", None, "no Kafka is known"),
        ("127.0.0.1:1", "Kafka hangs", "Kafka hangs"),
        ("127.0.0.1:1", None, "127.0.0.1:1"),
    ],
)
def test_an_unavailable_kafka_is_reported_and_the_change_stays(
    engine: Engine, bootstrap: str, trouble: str | None, reported: str
) -> None:
    problems: list[str] = []
    settings = Settings(kafka_bootstrap=bootstrap)
    announce = announcer(settings, Registry(engine), problems.append, lambda: trouble)
    operations(engine, announce).promote_new("v1", actor="ann", reason="better")
    active = Registry(engine).active()
    assert active is not None
    assert active.version == "v1"
    (problem,) = problems
    assert reported in problem


def test_a_kafka_setting_that_went_bad_is_reported_and_the_change_stays(engine: Engine, tmp_path: Path) -> None:
    problems: list[str] = []
    password = tmp_path / "password"
    password.write_text("secret")
    settings = Settings(
        kafka_bootstrap="127.0.0.1:1",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_username="weir",
        kafka_password_file=password,
    )
    password.unlink()
    announce = announcer(settings, Registry(engine), problems.append)
    operations(engine, announce).promote_new("v1", actor="ann", reason="better")
    assert Registry(engine).active() is not None
    assert str(password) in problems[0]
