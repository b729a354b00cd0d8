"""Which model serves: promotions, rollbacks, freezes, and a log that cannot be altered."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from importance.errors import Conflict, InvalidInput, NotFound, Unavailable
from storage.lock import TrainerLock
from storage.registry import FREEZES, MOVES, Active, Kind, Registry, State
from storage.texts import REASON_CHARACTERS
from tests.support.storage import end_holders_of_advisory_locks, rows

NOW = 1_300_000_000.0


@pytest.fixture
def registry(engine: sa.Engine) -> Registry:
    registry = Registry(engine, clock=lambda: NOW)
    for number in range(1, 5):
        registry.register(
            f"v{number}", f"artifact-{number}", f"sha-{number}", parent=f"v{number - 1}" if number > 1 else None
        )
    return registry


def promote(registry: Registry, version: str, expected_sequence: int | None = None) -> None:
    registry.promote(version, expected_sequence=expected_sequence, actor="ann", reason="better")


def rollback(registry: Registry, to: str | None = None) -> str | None:
    return registry.rollback(to, actor="bob", reason="worse").to_version


def states(registry: Registry) -> dict[str, State]:
    return {version.version: version.state for version in registry.versions()}


def test_nothing_serves_at_first(registry: Registry) -> None:
    assert registry.active() is None
    assert registry.log() == []
    assert set(states(registry).values()) == {State.CANDIDATE}


def test_names_of_new_versions_do_not_repeat(engine: sa.Engine) -> None:
    assert [Registry(engine).new_version() for _ in range(3)] == ["v1", "v2", "v3"]


def test_a_version_is_registered_with_its_figures(engine: sa.Engine) -> None:
    registry = Registry(engine, clock=lambda: NOW)
    registry.register(
        "v1",
        "v1-abc",
        "abc",
        metrics={"auc": np.float64(0.7), "none": float("nan")},
        statistics={"mean": {"loss": 1e-9}},
    )
    version = registry.version("v1")
    assert (version.version, version.parent, version.state) == ("v1", None, State.CANDIDATE)
    assert version.created == datetime.fromtimestamp(NOW, UTC)
    assert (version.artifact, version.sha256) == ("v1-abc", "abc")
    assert version.metrics == {"auc": 0.7, "none": None}
    assert version.statistics == {"mean": {"loss": 1e-9}}


def test_a_name_is_given_once_and_parents_exist(registry: Registry) -> None:
    with pytest.raises(Conflict, match="v1 is registered already"):
        registry.register("v1", "a", "b")
    with pytest.raises(NotFound, match="no version v0"):
        registry.register("v9", "a", "b", parent="v0")
    with pytest.raises(NotFound, match="no version v8"):
        registry.version("v8")


def test_a_promotion_moves_the_pointer_and_grows_the_log(registry: Registry) -> None:
    promote(registry, "v1", 0)
    promote(registry, "v2", 1)
    assert registry.active() == Active(2, "v2", "artifact-2", "sha-2", frozen=False)
    assert states(registry) == {"v1": "retired", "v2": "active", "v3": "candidate", "v4": "candidate"}
    first, second = registry.log()
    assert (first.sequence, first.kind, first.from_version, first.to_version) == (1, Kind.PROMOTE, None, "v1")
    assert (second.from_version, second.to_version, second.actor, second.reason) == ("v1", "v2", "ann", "better")
    assert second.time == datetime.fromtimestamp(NOW, UTC)


def test_of_two_trainers_that_began_at_one_point_one_promotes(registry: Registry) -> None:
    promote(registry, "v1")
    with ThreadPoolExecutor(2) as threads:
        tried = [threads.submit(promote, registry, version, 1) for version in ("v2", "v3")]
    failures = [each.exception() for each in tried if each.exception()]
    assert len(failures) == 1
    assert isinstance(failures[0], Conflict)
    assert [entry.sequence for entry in registry.log()] == [1, 2]


def test_a_rollback_while_a_candidate_is_made_wins(registry: Registry) -> None:
    promote(registry, "v1")
    promote(registry, "v2")
    began = registry.active()
    assert began is not None
    rollback(registry)
    with pytest.raises(Conflict, match="frozen"):
        promote(registry, "v3", began.sequence)
    registry.unfreeze(actor="bob", reason="mended")
    with pytest.raises(Conflict, match="is at 4, not at 2"):
        promote(registry, "v3", began.sequence)
    active = registry.active()
    assert active is not None
    assert active.version == "v1"
    with pytest.raises(Conflict, match="v3 descends from v2, which is in quarantine"):
        promote(registry, "v3", active.sequence)
    registry.register("v5", "artifact-5", "sha-5", parent="v1")
    promote(registry, "v5", active.sequence)


def test_a_rollback_goes_to_the_version_before_and_freezes(registry: Registry) -> None:
    promote(registry, "v1")
    promote(registry, "v2")
    assert rollback(registry) == "v1"
    assert registry.active() == Active(3, "v1", "artifact-1", "sha-1", frozen=True)
    assert states(registry) == {"v1": "active", "v2": "rolled_back", "v3": "candidate", "v4": "candidate"}
    entry = registry.log()[-1]
    assert (entry.kind, entry.from_version, entry.to_version, entry.actor) == (Kind.ROLLBACK, "v2", "v1", "bob")


def test_consecutive_rollbacks_walk_back(registry: Registry) -> None:
    for version in ("v1", "v2", "v3", "v4"):
        promote(registry, version)
    assert [rollback(registry) for _ in range(3)] == ["v3", "v2", "v1"]
    with pytest.raises(
        Conflict, match=r"no version to roll back to: v1 is the first of all; 'weir models promote' lets"
    ):
        rollback(registry)
    with pytest.raises(Conflict, match="v1 is active already"):
        registry.rollback("v1", actor="bob", reason="twice")


def test_a_rollback_with_nothing_below_says_why(registry: Registry) -> None:
    with pytest.raises(Conflict, match="no version to roll back to: none was ever promoted; run 'weir models init'"):
        rollback(registry)
    promote(registry, "v1")
    with pytest.raises(Conflict, match="no version to roll back to: v1 is the only one that was ever promoted; 'weir"):
        rollback(registry)


def test_a_rollback_does_not_return_to_what_was_rolled_back(registry: Registry) -> None:
    for version in ("v1", "v2", "v3"):
        promote(registry, version)
    assert rollback(registry) == "v2"
    promote(registry, "v4")
    assert rollback(registry) == "v2"
    with pytest.raises(Conflict, match=r"v3 is not among those below the serving one \(v1\)"):
        rollback(registry, "v3")


def test_a_rollback_may_name_its_target(registry: Registry) -> None:
    for version in ("v1", "v2", "v3"):
        promote(registry, version)
    assert rollback(registry, "v1") == "v1"
    assert states(registry) == {"v1": "active", "v2": "retired", "v3": "rolled_back", "v4": "candidate"}
    with pytest.raises(NotFound, match="no version v9"):
        rollback(registry, "v9")


def test_a_rollback_to_the_version_that_serves_changes_nothing(registry: Registry) -> None:
    for version in ("v1", "v2", "v1"):
        promote(registry, version)
    with pytest.raises(Conflict, match="v1 is active already"):
        rollback(registry, "v1")
    assert len(registry.log()) == 3
    assert not registry.frozen()


def test_training_can_be_frozen_before_there_is_a_model(registry: Registry) -> None:
    assert not registry.frozen()
    registry.freeze(actor="ann", reason="not yet")
    assert registry.frozen()


def test_there_is_nothing_to_roll_back_before_the_second_promotion(registry: Registry) -> None:
    with pytest.raises(Conflict):
        rollback(registry)
    promote(registry, "v1")
    with pytest.raises(Conflict):
        rollback(registry)
    assert len(registry.log()) == 1


def test_an_operator_promotes_what_they_say_even_while_frozen(registry: Registry) -> None:
    promote(registry, "v1")
    promote(registry, "v2")
    rollback(registry)
    promote(registry, "v2")
    assert registry.active() == Active(4, "v2", "artifact-2", "sha-2", frozen=True)
    with pytest.raises(Conflict, match="is active already"):
        promote(registry, "v2")


def test_a_trainer_promotes_candidates_only(registry: Registry) -> None:
    registry.reject("v1")
    assert states(registry)["v1"] == State.REJECTED
    with pytest.raises(Conflict, match="only a candidate can be promoted"):
        promote(registry, "v1", 0)
    with pytest.raises(Conflict, match="only a candidate can be rejected"):
        registry.reject("v1")


def test_freezing_and_unfreezing_are_logged_and_move_nothing(registry: Registry) -> None:
    promote(registry, "v1")
    registry.freeze(actor="ann", reason="holidays")
    with pytest.raises(Conflict, match="frozen already"):
        registry.freeze(actor="ann", reason="holidays")
    registry.unfreeze(actor="bob", reason="back")
    with pytest.raises(Conflict, match="not frozen"):
        registry.unfreeze(actor="bob", reason="back")
    assert [entry.kind for entry in registry.log()] == [Kind.PROMOTE, Kind.FREEZE, Kind.UNFREEZE]
    assert registry.active() == Active(3, "v1", "artifact-1", "sha-1", frozen=False)


@pytest.mark.parametrize("reason", ["", "  ", "x" * (REASON_CHARACTERS + 1), "a\0b", "\ud800"])
def test_a_reason_is_needed(registry: Registry, reason: str) -> None:
    with pytest.raises(InvalidInput, match="the reason"):
        registry.promote("v1", expected_sequence=None, actor="ann", reason=reason)
    assert (registry.active(), registry.log()) == (None, [])


def test_the_longest_reason_is_taken(registry: Registry) -> None:
    registry.promote("v1", expected_sequence=None, actor="ann", reason="ü" * REASON_CHARACTERS)


@pytest.mark.parametrize(
    "statement", ["UPDATE promotion_log SET reason = 'other'", "DELETE FROM promotion_log", "TRUNCATE promotion_log"]
)
def test_the_log_cannot_be_altered(engine: sa.Engine, registry: Registry, statement: str) -> None:
    promote(registry, "v1")
    with pytest.raises(DBAPIError, match="append-only"):
        rows(engine, statement)
    assert len(registry.log()) == 1


def test_a_trainer_that_lost_its_lock_cannot_promote(engine: sa.Engine, registry: Registry) -> None:
    with TrainerLock(engine) as lock:
        assert lock.acquire()
        end_holders_of_advisory_locks(engine)
        with pytest.raises(Unavailable):
            registry.promote("v1", expected_sequence=0, actor="trainer", reason="better", lock=lock)
        assert not lock.held()
    assert (registry.active(), registry.log()) == (None, [])


def test_a_trainer_promotes_in_the_session_of_its_lock(engine: sa.Engine, registry: Registry) -> None:
    with TrainerLock(engine) as lock:
        assert lock.acquire()
        by_lock = partial(registry.promote, actor="trainer", reason="better", lock=lock)
        by_lock("v1", expected_sequence=0)
        with pytest.raises(Conflict):
            by_lock("v2", expected_sequence=0)
        assert lock.held()
        by_lock("v2", expected_sequence=1)
    assert [entry.to_version for entry in registry.log()] == ["v1", "v2"]


def test_one_entry_or_a_count_is_read_without_the_whole_log(registry: Registry) -> None:
    assert (registry.first_version(), registry.last_entry(MOVES), registry.count(Kind.ROLLBACK)) == (None, None, 0)
    registry.freeze(actor="ann", reason="before the first")
    registry.unfreeze(actor="ann", reason="go")
    promote(registry, "v1")
    promote(registry, "v2")
    registry.rollback(None, actor="ann", reason="worse")
    log = registry.log()
    assert registry.first_version() == "v1"
    assert registry.last_entry(MOVES) == registry.last_entry(FREEZES) == log[-1]
    assert registry.last_entry(MOVES, up_to=4) == log[3]
    assert registry.last_entry([Kind.FREEZE]) == log[0]
    assert registry.last_entry(MOVES, up_to=2) is None
    assert [registry.count(kind) for kind in (Kind.PROMOTE, Kind.ROLLBACK, Kind.FREEZE)] == [2, 1, 1]
    assert registry.log("v2") == log[3:]


def test_changes_from_many_sides_come_one_after_the_other(registry: Registry, connect: Callable[[], sa.Engine]) -> None:
    promote(registry, "v1")
    promote(registry, "v2")

    def toggle(number: int) -> None:
        own = Registry(connect())
        change = own.freeze if number % 2 else own.unfreeze
        try:
            change(actor=f"worker {number}", reason="contention")
        except Conflict:
            return

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(toggle, range(24)))
    log = registry.log()
    assert [entry.sequence for entry in log] == list(range(1, len(log) + 1))
    toggles = [entry.kind for entry in log[2:]]
    assert all(first != second for first, second in pairwise(toggles))
