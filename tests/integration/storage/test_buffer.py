"""What goes into the buffer, what goes out, and at what price."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import inf, log

import numpy as np
import pytest
import sqlalchemy as sa

from importance.reservoir import AdmissionPolicy, Reservoir, admit
from importance.sample import Action, Correction, Rating, Sample
from importance.scores import Scores
from importance.strata import NEGATIVE, POSITIVE, StrataPolicy
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.engine import transaction
from storage.lock import Right, wait_for
from tests.support.storage import CAPACITIES, TOPIC, Owner, held, offer, rows, statements

COUNTED = """
    SELECT s.stratum, coalesce((SELECT sum(inserted) FROM buffer_intake i WHERE i.stratum = s.stratum), 0) - s.deleted,
           (SELECT count(*) FROM buffer_keys k WHERE k.stratum = s.stratum)
    FROM buffer_strata s ORDER BY 1
"""


@pytest.fixture
def buffer(engine: sa.Engine) -> Buffer:
    return Buffer(engine, CAPACITIES, TOPIC)


def kappa(buffer: Buffer, stratum: str = NEGATIVE) -> float:
    return buffer.thresholds()[stratum].kappa


def test_every_stratum_is_open_until_something_was_rejected(engine: sa.Engine, buffer: Buffer) -> None:
    Owner(engine, buffer).flush([offer(f"i{n}", float(n)) for n in range(3)])
    assert kappa(buffer) == -inf


def test_what_is_above_capacity_goes_by_falling_key_and_raises_the_threshold(engine: sa.Engine, buffer: Buffer) -> None:
    Owner(engine, buffer).flush([offer(f"i{n}", float(n)) for n in range(10)])
    assert held(engine) == {"i7": 7.0, "i8": 8.0, "i9": 9.0}
    assert kappa(buffer) == 6.0
    assert rows(engine, "SELECT count(*) FROM buffer_samples") == [(3,)]


def test_an_id_that_is_there_stays_as_it_is(engine: sa.Engine, buffer: Buffer) -> None:
    owner, other = Owner(engine, buffer), Owner(engine, buffer, partition=1)
    owner.flush([offer("a", 1.0, text="first")])
    owner.flush([offer("a", 2.0, text="second")])
    other.flush([offer("a", 3.0, POSITIVE, text="third")])
    found = BufferReader(engine).explain("a")
    assert (found.key, found.stratum, found.sample.text) == (1.0, NEGATIVE, "first")
    assert [count for *_, count in rows(engine, COUNTED)] == [0, 1, 0, 0]


def test_of_one_id_twice_in_a_flush_the_first_counts(engine: sa.Engine, buffer: Buffer) -> None:
    Owner(engine, buffer).flush([offer("a", 1.0, text="first"), offer("a", 2.0, text="second")])
    assert BufferReader(engine).explain("a").sample.text == "first"


def test_content_comes_back_as_it_was(engine: sa.Engine, buffer: Buffer) -> None:
    given = offer(
        'odd "id"\\ \t\n\r\\N',
        1.5,
        query="größer \\n \\\\ ' \" \x01 \u2028 🧸",
        attributes={"category": "a\tb", "price": 0.1, "count": 7, "new": True, "none": None},
        rating=Rating(5, "r\\", 4.5),
        actions=Action.CLICK | Action.RATING,
        position=3,
        propensity=1 / 3,
        value=-0.0,
    )
    Owner(engine, buffer).flush([given])
    (found,) = BufferReader(engine).draw([NEGATIVE]).samples
    assert found == given.sample


def test_keys_and_weights_come_back_to_the_bit(engine: sa.Engine, buffer: Buffer) -> None:
    rng = np.random.default_rng(1)
    offers = [offer(f"i{n}", key, log_weight=key / 3) for n, key in enumerate((rng.standard_normal(3) * 1e3).tolist())]
    Owner(engine, buffer).flush(offers)
    found = {i: (k, w) for i, k, w in rows(engine, "SELECT id, key, log_weight FROM buffer_keys")}
    assert found == {each.sample.id: (each.key, each.log_weight) for each in offers}


def test_a_rejected_sample_costs_no_query(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    owner.flush([offer(f"i{n}", 100.0 + n) for n in range(10)])
    counted = {}
    for number in (0, 1, 500):
        with statements(engine) as seen:
            owner.flush([offer(f"low{number}-{n}", float(-n)) for n in range(number)])
        counted[number] = seen
    assert counted[0] == counted[1] == counted[500]
    assert not any("buffer_keys" in statement for statement in counted[500])
    with statements(engine) as few:
        owner.flush([offer("high", 200.0)])
    with statements(engine) as many:
        owner.flush([offer("higher", 300.0)] + [offer(f"lower-{n}", float(-n)) for n in range(500)])
    assert few == many


def test_the_number_of_queries_does_not_grow_with_what_is_kept(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    owner.flush([offer("a", 1.0)], [Correction("a", 1)])
    with statements(engine) as few:
        owner.flush([offer("b", 2.0)], [Correction("b", 1)])
    offers = [offer(f"i{n}", 10.0 + n) for n in range(300)]
    with statements(engine) as many:
        owner.flush(offers, [Correction(each.sample.id, 1) for each in offers])
    assert len(few) == len(many)


def test_the_kept_counts_are_the_numbers_of_rows(engine: sa.Engine, buffer: Buffer) -> None:
    rng = np.random.default_rng(2)
    owners = [Owner(engine, buffer, partition) for partition in range(3)]
    for batch in range(8):
        for owner in owners:
            ids = rng.integers(0, 60, size=9)
            owner.flush([offer(f"i{i}", float(rng.random()), [*CAPACITIES][i % 4]) for i in ids.tolist()])
            for _, kept, counted in rows(engine, COUNTED):
                assert kept == counted, batch


def test_a_row_below_a_threshold_that_rose_meanwhile_is_not_stored(
    engine: sa.Engine, buffer: Buffer, connect: Callable[[], sa.Engine]
) -> None:
    slow = Owner(engine, Buffer(connect(), CAPACITIES, TOPIC), partition=1)
    late = slow.prepare([offer("late", 3.0), offer("high", 30.0)])
    Owner(engine, buffer).flush([offer(f"i{n}", 10.0 + n) for n in range(6)])
    slow.buffer.persist(late)
    assert set(held(engine)) == {"high", "i4", "i5"}
    assert kappa(slow.buffer) == 13.0
    assert rows(engine, "SELECT inserted FROM buffer_intake WHERE partition = 1") == [(1,)]


def test_a_row_at_or_below_the_threshold_is_not_read_and_goes_with_the_next_trim(
    engine: sa.Engine, buffer: Buffer
) -> None:
    Owner(engine, buffer).flush([offer("a", 1.0), offer("b", 2.0)])
    with transaction(engine) as connection:  # another worker's trim, between our read of the thresholds and our insert
        connection.execute(sa.text("UPDATE buffer_strata SET threshold = 1.0 WHERE stratum = 'negative'"))
    assert BufferReader(engine).draw().ids == ["b"]
    assert not BufferReader(engine).explain("a").in_buffer
    assert buffer.trim()
    assert (set(held(engine)), kappa(buffer)) == ({"b"}, 1.0)
    assert not buffer.trim()


def test_growing_keeps_the_threshold_and_shrinking_raises_it(engine: sa.Engine, buffer: Buffer) -> None:
    Owner(engine, buffer).flush([offer(f"i{n}", float(n)) for n in range(10)])
    larger = Buffer(engine, CAPACITIES | {NEGATIVE: 5}, TOPIC)
    assert kappa(larger) == 6.0
    Owner(engine, larger, partition=1).flush([offer("low", 6.0), offer("a", 6.5), offer("b", 7.5), offer("c", 8.5)])
    assert (set(held(engine)), kappa(larger)) == ({"b", "c", "i7", "i8", "i9"}, 6.5)
    smaller = Buffer(engine, CAPACITIES | {NEGATIVE: 1}, TOPIC)
    smaller.trim()
    assert (set(held(engine)), kappa(smaller)) == ({"i9"}, 8.5)


def test_a_stratum_without_places_keeps_nothing(engine: sa.Engine) -> None:
    buffer = Buffer(engine, CAPACITIES | {NEGATIVE: 0}, TOPIC)
    Owner(engine, buffer).flush([offer("a", 1.0), offer("b", 2.0)])
    assert (held(engine), kappa(buffer)) == ({}, 2.0)


def test_while_another_trims_at_most_one_batch_waits(
    engine: sa.Engine, buffer: Buffer, connect: Callable[[], sa.Engine]
) -> None:
    owner = Owner(engine, buffer)
    buffer.thresholds()
    with transaction(connect()) as trimming:
        wait_for(trimming, Right.TRIM)
        owner.flush([offer(f"i{n}", float(n)) for n in range(10)])
        assert len(held(engine)) == 10
        with ThreadPoolExecutor(1) as threads:
            second = threads.submit(owner.flush, [offer("j", 20.0)])
            waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            while rows(engine, waiting) == [(0,)]:
                assert not second.done()
            assert len(held(engine)) == 10
            trimming.commit()
            second.result()
    assert set(held(engine)) == {"i8", "i9", "j"}


def test_many_workers_with_the_same_ids_do_not_lock_each_other_out(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    capacities = dict.fromkeys(CAPACITIES, 20)
    expected = Reservoir(capacities)
    batches = [
        [offer(f"i{i}", ((i * 7919) % 1_009) / 7, [*CAPACITIES][i % 4]) for i in order]
        for order in (np.random.default_rng(seed).permutation(400).tolist() for seed in range(4))
    ]

    def work(partition: int) -> None:
        own = connect()
        owner = Owner(own, Buffer(own, capacities, TOPIC), partition)
        for start in range(0, 400, 40):
            offers = batches[partition][start : start + 40]
            owner.flush(offers, [Correction(each.sample.id, int(Action.CLICK)) for each in offers[::3]])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    expected.offer(batches[0])
    expected.trim()
    buffer = Buffer(engine, capacities, TOPIC)
    buffer.trim()
    assert held(engine) == {each.sample.id: each.key for each in expected.rows()}
    assert buffer.thresholds() == expected.thresholds()
    assert all(kept == counted for _, kept, counted in rows(engine, COUNTED))


def test_inserts_follow_the_law_of_the_reservoir(engine: sa.Engine) -> None:
    capacity, count, batch = 400, 20_000, 200
    policy = AdmissionPolicy(StrataPolicy(salt="s", holdout_ratio=0, uniform_ratio=0), salt="x")
    buffer = Buffer(engine, {"holdout": 0, "uniform": 0, "positive": 0, "negative": capacity}, TOPIC)
    owner = Owner(engine, buffer)
    plain = offer("x", 0.0).sample
    for start in range(0, count, batch):
        samples = [_renamed(plain, f"i{n}") for n in range(start, start + batch)]
        owner.flush(admit(samples, Scores.uniform(batch), policy, buffer.thresholds()))
        assert len(held(engine)) <= capacity
    ((inserted,),) = rows(engine, "SELECT sum(inserted) FROM buffer_intake")
    assert inserted <= 1.1 * capacity * (1 + log(count / capacity))


def _renamed(sample: Sample, name: str) -> Sample:
    return Sample(**{field: getattr(sample, field) for field in sample.__struct_fields__} | {"id": name})
