"""Comparisons on live traffic: what starts and ends them, and that each subject counts once."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from importance.errors import Conflict
from importance.sequential import Results
from importance.shadow import Pair
from storage import comparisons
from storage.buffer import Buffer
from storage.comparisons import Comparison, Comparisons, Ending, LiveTest
from storage.registry import Registry, State
from tests.support.storage import CAPACITIES, TOPIC, Owner, rows

SHADOWED = Pair("shadow", "v2", "v1")


@pytest.fixture
def registry(engine: sa.Engine) -> Registry:
    """Of three versions, the first active and the second in shadow."""
    registry = Registry(engine)
    for number in (1, 2, 3):
        registry.register(f"v{number}", f"artifact-{number}", f"sha-{number}")
    registry.promote("v1", expected_sequence=None, actor="ann", reason="first")
    registry.shadow("v2", expected_sequence=1)
    return registry


def owner(engine: sa.Engine, partition: int = 0) -> Owner:
    return Owner(engine, Buffer(engine, CAPACITIES, TOPIC), partition)


def last(engine: sa.Engine, test: LiveTest = LiveTest.SHADOW) -> Comparison:
    found = Comparisons(engine).last(test)
    assert found is not None
    return found


def test_each_subject_counts_once_over_flushes_and_partitions_whatever_is_repeated(
    engine: sa.Engine, registry: Registry
) -> None:
    one, other = owner(engine), owner(engine, 1)
    stored = one.flush(gains={SHADOWED: {3: 4, 1: -2, 2: 0}})
    one.buffer.persist(stored)  # a COMMIT whose answer was lost
    other.flush(gains={SHADOWED: {1: 6, 4: 2}})
    one.flush(gains={SHADOWED: {4: -2}, Pair("shadow", "v3", "v1"): {5: 1}, Pair("shadow", "v2", "v3"): {6: 1}})
    assert last(engine).results == Results(wins=2, losses=1, ties=1)
    assert [each.version for each in Comparisons(engine).running()] == ["v2"]
    assert registry.version("v2").state is State.SHADOW


def test_workers_add_nothing_past_the_bound(
    engine: sa.Engine, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparisons, "MAX_SUBJECTS", 2)
    worker = owner(engine)
    worker.flush(gains={SHADOWED: {1: 1, 2: 1}})
    worker.flush(gains={SHADOWED: {3: 1}})
    assert last(engine).results.total == 2


def freeze(registry: Registry) -> None:
    registry.freeze(actor="bob", reason="holidays")


def promote_other(registry: Registry) -> None:
    registry.promote("v3", expected_sequence=None, actor="bob", reason="by hand")


@pytest.mark.parametrize("moves", [freeze, promote_other])
def test_a_shadow_ends_with_what_else_moves_the_log(
    engine: sa.Engine, registry: Registry, moves: Callable[[Registry], None]
) -> None:
    worker = owner(engine)
    worker.flush(gains={SHADOWED: {1: 1}})
    moves(registry)
    worker.flush(gains={SHADOWED: {2: 1}})
    ended = last(engine)
    assert (ended.result, ended.results) == (Ending.SUPERSEDED, Results(wins=1))
    assert "by bob, entry 2 of the log" in str(ended.reason)
    assert registry.version("v2").state is State.REJECTED
    Comparisons(engine).forget_ended()
    assert rows(engine, "SELECT * FROM comparison_subjects") == rows(engine, "SELECT * FROM comparison_results") == []
    assert last(engine) == ended


def test_a_worker_that_hangs_in_a_flush_delays_no_rollback_and_adds_nothing_to_what_has_ended(
    engine: sa.Engine, registry: Registry
) -> None:
    registry.promote("v2", expected_sequence=1, actor="trainer", reason="E 20")
    worker = owner(engine)
    worker.flush(gains={Pair("mirror", "v1", "v2"): {1: 1}})
    hanging = worker.prepare(gains={Pair("mirror", "v1", "v2"): {2: 1}})
    with engine.begin() as connection:
        comparisons.add(connection, TOPIC, hanging)
        registry.rollback(None, actor="bob", reason="worse")
    assert last(engine, LiveTest.MIRROR).results == Results(wins=1)


def test_a_promotion_ends_the_shadow_and_starts_the_mirror_test_and_a_rollback_ends_that(
    engine: sa.Engine, registry: Registry
) -> None:
    registry.promote("v2", expected_sequence=1, actor="trainer", reason="E 20")
    assert (last(engine).result, last(engine).reason) == (Ending.PROMOTED, "E 20")
    mirror = last(engine, LiveTest.MIRROR)
    assert (mirror.version, mirror.against, mirror.sequence, mirror.result) == ("v1", "v2", 2, None)
    owner(engine).flush(gains={Pair("mirror", "v1", "v2"): {1: 1, 2: -1}})
    with pytest.raises(Conflict, match="v2 is active, not v3"):
        registry.rollback(None, actor="mirror", reason="worse", replacing="v3")
    registry.rollback("v1", actor="mirror", reason="worse", replacing="v2")
    ended = last(engine, LiveTest.MIRROR)
    assert (ended.result, ended.results) == (Ending.ROLLED_BACK, Results(1, 1))
    assert Comparisons(engine).running() == []


def test_a_rejected_candidate_keeps_its_results_and_the_reason(engine: sa.Engine, registry: Registry) -> None:
    owner(engine).flush(gains={SHADOWED: {1: -1}})
    registry.reject("v2", "it lost")
    assert (last(engine).result, last(engine).reason, last(engine).results) == (
        Ending.REJECTED,
        "it lost",
        Results(0, 1),
    )
    assert not Comparisons(engine).end(last(engine).id, Ending.KEPT, "again")
    with pytest.raises(Conflict, match="only a candidate"):
        registry.shadow("v2", expected_sequence=1)


def test_a_shadow_starts_by_compare_and_set(registry: Registry) -> None:
    freeze(registry)
    with pytest.raises(Conflict, match="frozen"):
        registry.shadow("v3", expected_sequence=1)
    registry.unfreeze(actor="bob", reason="back")
    with pytest.raises(Conflict, match="the promotion log is at 3"):
        registry.shadow("v3", expected_sequence=1)
