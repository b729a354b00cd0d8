"""Keys of two rules never meet in a stratum, and scoring again gets along with workers, crashes and other processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import sqlalchemy as sa

from importance.errors import Conflict, Unavailable
from importance.reservoir import AdmissionPolicy, Score, admit
from importance.sample import Sample
from importance.scores import Offer, Scores
from importance.strata import NEGATIVE, POSITIVE, STRATA, StrataPolicy
from storage import migrate
from storage.audit import Audit
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.rescoring import PAGE, Rescoring
from tests.support.storage import TOPIC, WORKER, Owner, offer, rows

POLICY = AdmissionPolicy(StrataPolicy("salt"), "salt")
CAPACITY = dict.fromkeys(STRATA, 8)
COUNTED = """
    SELECT coalesce((SELECT sum(inserted) FROM buffer_intake i WHERE i.stratum = s.stratum), 0) - s.deleted,
           (SELECT count(*) FROM buffer_keys k WHERE k.stratum = s.stratum)
    FROM buffer_strata s
"""


def configs(worth: str, policy: AdmissionPolicy = POLICY) -> dict[str, str]:
    return {name: policy.scoring_config(name, worth) for name in STRATA}


def scoring(estimator: str, model: str = "v1") -> Score:
    def score(samples: Sequence[Sample]) -> Scores:
        factor = 1.0 if estimator == "loss" else 40.0
        return Scores(np.array([factor * (1 + each.offset % 7) for each in samples]), estimator, model)

    return score


def samples(first: int, count: int) -> list[Sample]:
    return [offer(f"i{n}", 0.0, subject=f"s{n}", offset=n, actions=n % 2).sample for n in range(first, first + count)]


def offered(buffer: Buffer, first: int, count: int, score: Score) -> list[Offer]:
    given = samples(first, count)
    return [each for each in admit(given, score(given), POLICY, buffer.thresholds()) if each.kept]


def owner(engine: sa.Engine, worth: str = "loss", partition: int = 0) -> Owner:
    return Owner(engine, Buffer(engine, CAPACITY, TOPIC, scoring_configs=configs(worth)), partition)


def estimators(engine: sa.Engine) -> dict[str, set[str]]:
    found = rows(engine, "SELECT stratum, estimator FROM buffer_keys JOIN buffer_samples USING (id)")
    return {name: {str(each) for stratum, each in found if stratum == name} for name in STRATA}


def consistent(engine: sa.Engine) -> bool:
    return all(kept == counted for kept, counted in rows(engine, COUNTED))


def test_another_estimator_is_refused_in_one_line_that_names_the_command_and_nothing_is_stored(
    engine: sa.Engine,
) -> None:
    first = owner(engine)
    first.flush(offered(first.buffer, 0, 40, scoring("loss")))
    before = rows(engine, "SELECT id FROM buffer_keys ORDER BY id")
    second = Buffer(engine, CAPACITY | {NEGATIVE: 1}, TOPIC, scoring_configs=configs("entropy"))
    for act in (second.thresholds, second.trim):
        with pytest.raises(Unavailable, match="run 'weir buffer rescore', or restart") as caught:
            act()
        assert "\n" not in str(caught.value)
        assert "stratum negative are made by 'loss, proportional, floor 0.25, no decay'" in str(caught.value)
    assert rows(engine, "SELECT id FROM buffer_keys ORDER BY id") == before
    assert rows(engine, "SELECT capacity FROM buffer_strata WHERE stratum = 'negative'") == [(8,)]


def test_after_scoring_again_a_stratum_knows_one_estimator_and_plain_strata_are_left_alone(engine: sa.Engine) -> None:
    first = owner(engine)
    first.flush(offered(first.buffer, 0, 100, scoring("loss")))
    rescoring = Rescoring(engine, POLICY, configs("entropy"), scoring("entropy"), WORKER)
    assert rescoring.due() == [NEGATIVE, POSITIVE]
    assert rescoring.bring() == {NEGATIVE: 8, POSITIVE: 8}
    assert (rescoring.due(), rescoring.bring()) == ([], {})
    again = owner(engine, "entropy", partition=1)
    again.flush(offered(again.buffer, 100, 100, scoring("entropy")))
    found = estimators(engine)
    assert found[POSITIVE] == found[NEGATIVE] == {"entropy"}
    assert consistent(engine)
    epochs = {name: again.buffer.thresholds()[name].epoch for name in STRATA}
    assert epochs == {"holdout": 0, "uniform": 0, POSITIVE: 1, NEGATIVE: 1}


def test_scoring_again_is_in_the_audit_log(engine: sa.Engine) -> None:
    first = owner(engine)
    first.flush(offered(first.buffer, 0, 100, scoring("loss")))
    assert Rescoring(engine, POLICY, configs("loss"), scoring("loss"), WORKER).bring() == {}
    assert Audit(engine).entries(limit=9) == []  # nothing was due
    Rescoring(engine, POLICY, configs("entropy"), scoring("entropy"), WORKER).bring()
    entries = Audit(engine).entries(limit=9)
    assert [(x.actor, x.via, x.action, x.target, x.details) for x in entries] == [
        ("worker", "worker", "buffer.rescore", POSITIVE, {"rows": 8}),
        ("worker", "worker", "buffer.rescore", NEGATIVE, {"rows": 8}),
    ]


def test_another_half_life_or_floor_is_another_rule(engine: sa.Engine) -> None:
    owner(engine).buffer.thresholds()
    slow = AdmissionPolicy(POLICY.strata, "salt", half_life_seconds=60.0)
    assert Rescoring(engine, slow, configs("loss", slow), scoring("loss"), WORKER).due() == sorted(STRATA)
    high = AdmissionPolicy(POLICY.strata, "salt", floor=0.5)
    assert Rescoring(engine, high, configs("loss", high), scoring("loss"), WORKER).due() == [NEGATIVE, POSITIVE]


def test_keys_of_before_rules_were_told_are_made_again(connect: Callable[[], sa.Engine]) -> None:
    engine = connect()
    migrate.upgrade(engine, "0002")
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO buffer_strata (stratum, capacity) VALUES ('negative', 3)"))
    migrate.upgrade(engine)
    assert Rescoring(engine, POLICY, configs("loss"), scoring("loss"), WORKER).bring() == {NEGATIVE: 0}
    assert owner(engine).buffer.thresholds()[NEGATIVE].epoch == 1


def test_a_worker_of_the_old_rule_cannot_store_what_it_has_on_its_way_until_it_is_its_rule_again(
    engine: sa.Engine,
) -> None:
    worker = owner(engine)
    worker.flush(offered(worker.buffer, 0, 40, scoring("loss")))
    late = worker.prepare(offered(worker.buffer, 40, 40, scoring("loss")))
    assert late.offers
    Rescoring(engine, POLICY, configs("entropy"), scoring("entropy"), WORKER).bring()
    before = rows(engine, "SELECT id FROM buffer_keys ORDER BY id")
    with pytest.raises(Unavailable, match="rescore"):
        worker.buffer.persist(late)
    assert rows(engine, "SELECT id FROM buffer_keys ORDER BY id") == before
    assert rows(engine, "SELECT next FROM progress") == [(late.old_next,)]
    Rescoring(engine, POLICY, configs("loss"), scoring("loss"), WORKER).bring()
    worker.buffer.persist(late)
    assert rows(engine, "SELECT next FROM progress") == [(late.progress.next,)]
    assert rows(engine, "SELECT count(*) > 0 FROM buffer_keys WHERE m < 0") == [(True,)]
    assert estimators(engine)[NEGATIVE] == {"loss"}


def test_rows_that_come_while_the_others_are_scored_are_scored_too(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    worker = owner(connect())
    worker.flush(offered(worker.buffer, 0, 4, scoring("loss")))
    again = scoring("loss", "v2")
    calls: list[int] = []

    def score(given: Sequence[Sample]) -> Scores:
        if not calls:
            worker.flush(offered(worker.buffer, 100, 4, scoring("loss")))
        calls.append(len(given))
        return again(given)

    Rescoring(engine, POLICY, configs("loss"), score, WORKER).stratum(NEGATIVE)
    models = rows(
        engine, "SELECT DISTINCT model FROM buffer_samples JOIN buffer_keys USING (id) WHERE stratum = 'negative'"
    )
    assert models == [("v2",)]
    assert len(calls) == 2


def test_a_process_that_ends_on_the_way_leaves_the_stratum_as_it_was(engine: sa.Engine) -> None:
    worker = owner(engine)
    worker.flush(offered(worker.buffer, 0, 40, scoring("loss")))
    state = (
        "SELECT id, key, log_weight, m, stratum, estimator FROM buffer_keys JOIN buffer_samples USING (id) ORDER BY id"
    )
    before = rows(engine, state), rows(engine, "SELECT * FROM buffer_strata ORDER BY 1")

    def fails(given: Sequence[Sample]) -> Scores:
        raise Unavailable("the model is away")

    with pytest.raises(Unavailable, match="the model is away"):
        Rescoring(engine, POLICY, configs("entropy"), fails, WORKER).bring()
    assert (rows(engine, state), rows(engine, "SELECT * FROM buffer_strata ORDER BY 1")) == before
    assert Rescoring(engine, POLICY, configs("entropy"), scoring("entropy"), WORKER).bring() == {
        NEGATIVE: 8,
        POSITIVE: 8,
    }


def test_more_rows_than_a_page_are_all_scored_and_told(engine: sa.Engine) -> None:
    capacity = dict.fromkeys(STRATA, 3 * PAGE)
    worker = Owner(engine, Buffer(engine, capacity, TOPIC, scoring_configs=configs("loss")))
    worker.flush(offered(worker.buffer, 0, 6 * PAGE, scoring("loss")))
    told: list[int] = []
    rescoring = Rescoring(engine, POLICY, configs("entropy"), scoring("entropy"), WORKER, told.append)
    scored = rescoring.stratum(NEGATIVE)
    assert scored == rows(engine, "SELECT count(*) FROM buffer_keys WHERE stratum = 'negative'")[0][0]
    assert told == [PAGE, 2 * PAGE, scored]
    assert estimators(engine)[NEGATIVE] == {"entropy"}


def test_several_processes_that_start_at_once_score_again_once(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    worker = owner(engine)
    worker.flush(offered(worker.buffer, 0, 200, scoring("loss")))
    several = [Rescoring(connect(), POLICY, configs("entropy"), scoring("entropy"), WORKER) for _ in range(3)]
    with ThreadPoolExecutor(len(several)) as threads:
        list(threads.map(Rescoring.bring, several))
    assert rows(engine, "SELECT DISTINCT epoch FROM buffer_strata WHERE stratum IN ('positive', 'negative')") == [(1,)]
    assert consistent(engine)


def test_two_processes_with_different_rules_do_not_undo_each_other_for_ever(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    """While one scores the next stratum, the other's start takes the last one back."""
    worker = owner(engine)
    worker.flush(offered(worker.buffer, 0, 40, scoring("loss")))
    calls: list[int] = []

    def score(given: Sequence[Sample]) -> Scores:
        calls.append(len(given))
        if len(calls) <= 6:
            Rescoring(connect(), POLICY, configs("loss"), scoring("loss"), WORKER).bring()
        return scoring("entropy")(given)

    first = Rescoring(engine, POLICY, configs("entropy"), score, WORKER)
    assert first.bring() == {NEGATIVE: 8, POSITIVE: 8}
    assert len(calls) == 2
    assert first.due() == [NEGATIVE]
    assert consistent(engine)


def test_workers_store_on_while_the_buffer_is_scored_again_and_again(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    workers = [owner(connect(), partition=partition) for partition in range(3)]

    def work(number: int) -> None:
        for batch in range(12):
            worker = workers[number]
            worker.flush(offered(worker.buffer, 1_000 * number + 40 * batch, 40, scoring("loss")))

    with ThreadPoolExecutor(4) as threads:
        done = [threads.submit(work, number) for number in range(3)]
        again = threads.submit(
            lambda: [
                Rescoring(engine, POLICY, configs("loss"), scoring("loss", f"v{n}"), WORKER).stratum(NEGATIVE)
                for n in range(5)
            ]
        )
        for each in [*done, again]:
            each.result()
    workers[0].buffer.trim()
    assert workers[0].buffer.thresholds()[NEGATIVE].epoch == 5
    assert consistent(engine)
    assert [items for _, items in rows(engine, COUNTED)] == [8] * 4
    drawn = BufferReader(engine).draw(STRATA)
    assert np.all((drawn.probability > 0) & (drawn.probability <= 1))


def test_what_one_version_scored_is_scored_again_alone(engine: sa.Engine) -> None:
    worker = owner(engine)
    worker.flush(offered(worker.buffer, 0, 10, scoring("loss", "good")))
    worker.flush(offered(worker.buffer, 10, 10, scoring("loss", "bad")))
    bad = rows(engine, "SELECT count(*) FROM buffer_samples WHERE model = 'bad'")
    rescoring = Rescoring(engine, POLICY, configs("loss"), scoring("loss", "v2"), WORKER)
    assert [(rescoring.rows_of("bad"),)] == bad
    assert {str(model) for (model,) in rows(engine, "SELECT DISTINCT model FROM buffer_samples")} <= {"good", "v2"}
    assert rows(engine, "SELECT DISTINCT epoch FROM buffer_strata") == [(0,)]
    assert consistent(engine)


def test_rows_of_a_version_that_come_while_its_others_are_scored_are_scored_too(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    worker = owner(connect())
    worker.flush(offered(worker.buffer, 0, 4, scoring("loss", "bad")))
    again, calls = scoring("loss", "v2"), []

    def score(given: Sequence[Sample]) -> Scores:
        if not calls:
            worker.flush(offered(worker.buffer, 100, 4, scoring("loss", "bad")))
        calls.append(len(given))
        return again(given)

    Rescoring(engine, POLICY, configs("loss"), score, WORKER).rows_of("bad")
    assert rows(engine, "SELECT DISTINCT model FROM buffer_samples") == [("v2",)]
    assert consistent(engine)


def test_single_rows_cannot_be_scored_by_another_rule_than_their_stratum(engine: sa.Engine) -> None:
    worker = owner(engine)
    worker.flush(offered(worker.buffer, 0, 10, scoring("loss")))
    with pytest.raises(Conflict, match="score the whole buffer again first"):
        Rescoring(engine, POLICY, configs("entropy"), scoring("entropy"), WORKER).rows_of("v1")


def test_a_stratum_that_is_not_wanted_any_more_is_merged_and_the_counts_stay_right(engine: sa.Engine) -> None:
    more = CAPACITY | {"country=France": 5}
    worker = Owner(
        engine,
        Buffer(engine, more, TOPIC, scoring_configs=configs("loss") | {"country=France": configs("loss")[NEGATIVE]}),
    )
    worker.flush([offer(f"f{n}", 10.0 + n, "country=France", actions=n % 2) for n in range(9)])
    worker.flush(offered(worker.buffer, 0, 100, scoring("loss")))
    with pytest.raises(Unavailable, match="stratum country=France"):
        owner(engine, partition=1).buffer.thresholds()
    assert Rescoring(engine, POLICY, configs("loss"), scoring("loss"), WORKER).bring() == {}
    after = owner(engine, partition=1)
    after.buffer.trim()
    assert consistent(engine)
    assert {stratum.name for stratum in BufferReader(engine).stats().strata} == set(STRATA)
    assert all(after.buffer.thresholds()[name].kappa >= 13.0 for name in (POSITIVE, NEGATIVE))
