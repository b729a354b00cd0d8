"""One trainer at a time, and a record of what each training was."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from importance.errors import Unavailable
from storage.lock import TrainerLock
from storage.registry import Registry
from storage.requests import Requests
from storage.runs import LEARNED, Run, RunResult, Runs
from tests.support.storage import end_holders_of_advisory_locks, rows


def test_a_second_trainer_takes_over_when_the_first_lets_go(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    with TrainerLock(engine) as first, TrainerLock(connect()) as second:
        assert (first.acquire(), first.acquire(), first.held()) == (True, True, True)
        assert (second.acquire(), second.held()) == (False, False)
        first.release()
        assert not first.held()
        assert second.acquire()


def test_a_trainer_whose_session_ended_learns_it_and_another_takes_over(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    with TrainerLock(engine) as first, TrainerLock(connect()) as second:
        assert first.acquire()
        end_holders_of_advisory_locks(engine)
        assert second.acquire()
        assert not first.held()
        assert not first.acquire()
        with pytest.raises(Unavailable, match="right to train"), first.transaction():
            pass


def test_a_failed_transaction_of_the_holder_changes_nothing_and_keeps_the_right(engine: sa.Engine) -> None:
    freeze = sa.text("UPDATE model_pointer SET frozen = true RETURNING 0")
    with TrainerLock(engine) as lock:
        assert lock.acquire()
        with pytest.raises(ZeroDivisionError), lock.transaction() as connection:
            print(1 / connection.execute(freeze).scalar_one())
        assert lock.held()
        assert rows(engine, "SELECT frozen FROM model_pointer") == [(False,)]


def test_a_lock_on_a_server_that_is_not_there_is_unavailable() -> None:
    from storage.engine import create_engine

    with TrainerLock(create_engine("postgresql://nobody@127.0.0.1:1/none")) as lock:
        with pytest.raises(Unavailable):
            lock.acquire()
        assert not lock.held()


def test_a_run_is_noted_from_its_trigger_to_its_result(engine: sa.Engine) -> None:
    now = [100.0]
    runs, registry = Runs(engine, clock=lambda: now[0]), Registry(engine)
    registry.register("v1", "a", "b")
    first = runs.start("amount", {"samples": 2_000})
    (going,) = runs.latest()
    assert (going.id, going.result, going.ended) == (first, None, None)
    now[0] = 160.0
    runs.finish(first, "promoted", ["auc +.01"], "v1")
    second = runs.start("operator", {})
    assert runs.latest(5)[1] == Run(
        id=first,
        trigger="amount",
        inputs={"samples": 2_000},
        started=datetime.fromtimestamp(100, UTC),
        ended=datetime.fromtimestamp(160, UTC),
        result="promoted",
        reasons=["auc +.01"],
        candidate="v1",
    )
    assert [run.id for run in runs.latest(5)] == [second, first]


def test_a_run_that_was_resumed_is_out_of_reach_of_the_trainer_before(engine: sa.Engine) -> None:
    runs = Runs(engine)
    Registry(engine).register("v1", "a", "b")
    run = runs.start("amount", {})
    assert [left.id for left in runs.left()] == [run]
    with TrainerLock(engine) as lock:
        with pytest.raises(Unavailable, match="right to train"):
            runs.keep(run, 0, {"steps": 1}, lock)  # not without the right
        assert lock.acquire()
        runs.keep(run, 0, {"steps": 1}, lock)
        with lock.transaction() as session:
            runs.propose(run, 0, "v1", session)
        (left,) = runs.left()
        assert (left.checkpoint, left.candidate, left.resumed) == ({"steps": 1}, "v1", 0)
        assert runs.resume(left, lock) == 1
        for late in (lambda: runs.keep(run, 0, {"steps": 2}, lock), lambda: runs.resume(left, lock)):
            with pytest.raises(Unavailable, match="another trainer resumed it"):
                late()

        def propose_late() -> None:
            with lock.transaction() as session:
                Registry(engine).register("v2", "a", "b", on=session)
                runs.propose(run, 0, "v2", session)

        with pytest.raises(Unavailable, match="another trainer resumed it"):
            propose_late()
        assert [version.version for version in Registry(engine).versions()] == ["v1"], "no run would name it"
        assert not runs.finish(run, RunResult.FAILED)
        with lock.transaction() as session:
            runs.propose(run, 1, "v1", session)
    assert runs.finish(run, RunResult.REJECTED, ["auc"], resumed=1)
    assert not runs.finish(run, RunResult.FAILED, resumed=1)
    last = runs.last()
    assert last is not None
    assert (last.result, last.candidate, last.resumed, last.checkpoint) == ("rejected", "v1", 1, None)
    assert runs.left() == []


def test_what_was_not_carried_through_is_passed_over_when_the_last_lesson_is_asked_for(engine: sa.Engine) -> None:
    runs = Runs(engine)
    assert runs.last() is None
    learned = runs.start("amount", {"samples": 10})
    runs.finish(learned, "rejected")
    for result in ("failed", "interrupted"):
        runs.finish(runs.start("amount", {"samples": 20}), result)
    last, learned_run = runs.last(), runs.last(LEARNED)
    assert last is not None
    assert last.result == "interrupted"
    assert learned_run is not None
    assert learned_run.id == learned


def test_a_wish_waits_until_a_run_was_carried_through_and_not_a_moment_longer(engine: sa.Engine) -> None:
    runs, requests = Runs(engine), Requests(engine)
    assert (requests.ask("ann"), requests.ask("bob"), requests.waits()) == (True, False, True)
    for result in ("interrupted", "failed"):
        run = runs.start("operator", {})
        assert requests.waits()
        runs.finish(run, result)
        assert requests.waits()
    runs.finish(runs.start("operator", {}), RunResult.ABANDONED)
    assert requests.waits()
    runs.finish(runs.start("operator", {}), "rejected")
    assert not requests.waits()


def test_a_request_during_a_run_becomes_one_with_it_once_it_is_carried_through(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    runs, requests = Runs(engine), Requests(engine)
    with TrainerLock(connect()) as lock:
        assert lock.acquire()
        run = runs.start("amount", {})
        assert not requests.ask("ann", "new prices")
        runs.finish(run, "failed")
        assert requests.waits(), "else a run that failed would have lost it"
        run = runs.start("operator", {})
        runs.finish(run, "promoted")
        assert not requests.waits()


def test_a_request_after_a_trainer_died_in_its_run_is_a_new_one(engine: sa.Engine) -> None:
    runs, requests = Runs(engine), Requests(engine)
    runs.start("amount", {})
    assert requests.ask("ann")
    assert requests.waits()


def test_a_run_says_who_asked_for_it_and_why(engine: sa.Engine, connect: Callable[[], sa.Engine]) -> None:
    runs, requests = Runs(engine), Requests(engine)
    requests.ask("ann", "new prices")
    asked = runs.start("operator", {})
    assert [(run.asked_by, run.asked_why) for run in runs.latest()] == [("ann", "new prices")]
    runs.finish(asked, "rejected")
    during = runs.start("amount", {})
    requests.ask("ben", "clicks fell")
    runs.finish(during, "promoted")
    runs.finish(runs.start("amount", {}), "rejected")
    assert [(run.asked_by, run.asked_why) for run in runs.latest(3)] == [
        (None, None), ("ben", "clicks fell"), ("ann", "new prices"),
    ]  # fmt: skip
