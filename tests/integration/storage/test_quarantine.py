"""Versions that a rollback left behind: nothing that descends from them is promoted until an operator lifts that."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from msgspec.structs import replace

from importance.errors import Conflict, NotFound
from importance.strata import STRATA
from storage.audit import Audit, Author, Via
from storage.buffer import Buffer
from storage.quarantine import Quarantine
from storage.registry import Registry
from tests.support.storage import TOPIC, Owner, offer

ANN = Author("ann", Via.CLI, "seen it")


def register(registry: Registry, version: str, parent: str | None = None) -> None:
    registry.register(version, f"artifact-{version}", f"sha-{version}", parent=parent)


@pytest.fixture
def registry(engine: sa.Engine) -> Registry:
    """v1 to v3 were promoted, each the parent of the next."""
    registry = Registry(engine)
    for version, parent in (("v1", None), ("v2", "v1"), ("v3", "v2")):
        register(registry, version, parent)
        registry.promote(version, expected_sequence=None, actor="ann", reason="better")
    return registry


def names(engine: sa.Engine) -> Sequence[str]:
    return [each.version for each in Quarantine(engine).standing()]


def test_a_rollback_puts_every_version_above_its_target_into_quarantine(registry: Registry, engine: sa.Engine) -> None:
    entry = registry.rollback("v1", actor="bob", reason="worse")
    assert names(engine) == ["v2", "v3"]
    assert {each.sequence for each in Quarantine(engine).standing()} == {entry.sequence}


def test_consecutive_rollbacks_add_to_it(registry: Registry, engine: sa.Engine) -> None:
    registry.rollback(None, actor="bob", reason="worse")
    assert names(engine) == ["v3"]
    registry.rollback(None, actor="bob", reason="worse still")
    assert names(engine) == ["v3", "v2"]


def test_a_trainer_cannot_promote_what_descends_from_it_until_that_is_lifted(
    registry: Registry, engine: sa.Engine
) -> None:
    registry.rollback(None, actor="bob", reason="worse")
    sequence = registry.unfreeze(actor="bob", reason="go on").sequence
    register(registry, "v4", "v3")
    register(registry, "v5", "v4")
    register(registry, "v6", "v2")
    with pytest.raises(Conflict, match="v5 descends from v3, which is in quarantine after a rollback: run 'weir"):
        registry.promote("v5", expected_sequence=sequence, actor="trainer", reason="gate")
    registry.promote("v6", expected_sequence=sequence, actor="trainer", reason="gate")
    Quarantine(engine).lift("v3", ANN)
    registry.promote("v5", expected_sequence=sequence + 1, actor="trainer", reason="gate")
    assert Audit(engine).entries(limit=9)[1].action == "models.lift"


def test_an_operator_who_promotes_what_descends_from_it_lifts_it(registry: Registry, engine: sa.Engine) -> None:
    registry.rollback("v1", actor="bob", reason="worse")
    register(registry, "v4", "v3")
    registry.promote("v4", expected_sequence=None, actor="ann", reason="it was the data")
    assert names(engine) == []
    registry.rollback(None, actor="bob", reason="it was not")
    assert names(engine) == ["v4"]


def test_only_what_stands_can_be_lifted(registry: Registry, engine: sa.Engine) -> None:
    quarantine = Quarantine(engine)
    with pytest.raises(Conflict, match="v2 is not in quarantine: nothing was changed"):
        quarantine.lift("v2", ANN)
    with pytest.raises(NotFound, match="no version v9"):
        quarantine.lift("v9", ANN)
    registry.rollback(None, actor="bob", reason="worse")
    quarantine.lift("v3", ANN)
    with pytest.raises(Conflict):
        quarantine.lift("v3", ANN)
    registry.promote("v3", expected_sequence=None, actor="ann", reason="again")
    registry.rollback(None, actor="bob", reason="worse again")
    assert names(engine) == ["v3"]


def test_the_rows_that_it_scored_are_counted(registry: Registry, engine: sa.Engine) -> None:
    offers = [replace(offer(f"i{number}", 1.0), model=f"v{number % 3 + 1}") for number in range(9)]
    Owner(engine, Buffer(engine, dict.fromkeys(STRATA, 100), TOPIC)).flush(offers)
    quarantine = Quarantine(engine)
    assert quarantine.rows() == {}
    registry.rollback(None, actor="bob", reason="worse")
    assert quarantine.rows() == {"v3": 3}
    quarantine.note_rescored("v3", 3)
    assert [each.rescored for each in quarantine.standing()] == [3]


def test_a_rollback_to_a_descendant_distrusts_neither_it_nor_what_it_descends_from(
    registry: Registry, engine: sa.Engine
) -> None:
    registry.promote("v1", expected_sequence=None, actor="ann", reason="as it was")
    assert registry.rollback(None, actor="bob", reason="no").to_version == "v3"
    assert names(engine) == []
    sequence = registry.unfreeze(actor="bob", reason="go on").sequence
    register(registry, "v4", "v3")
    registry.promote("v4", expected_sequence=sequence, actor="trainer", reason="gate")
    registry.rollback("v1", actor="bob", reason="worse")
    assert names(engine) == ["v2", "v3", "v4"]


def test_a_rollback_to_what_is_in_quarantine_lifts_it(registry: Registry, engine: sa.Engine) -> None:
    register(registry, "x")
    for version in ("x", "v3"):
        registry.promote(version, expected_sequence=None, actor="ann", reason="the other one")
    registry.rollback(None, actor="bob", reason="worse")
    assert names(engine) == ["v3"]
    assert registry.rollback(None, actor="bob", reason="worse still").to_version == "v3"
    assert names(engine) == ["x"]
