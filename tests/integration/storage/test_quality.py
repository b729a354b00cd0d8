"""Counts of predictions add up exactly: over flushes, owners, repetitions and partitions."""

from collections.abc import Callable

import numpy as np
import pytest
import sqlalchemy as sa

from importance.errors import Fenced, Unavailable
from importance.quality import CountKey, Counts, empty_counts
from storage.buffer import Buffer
from storage.quality import BLOCKS_KEPT, Quality, Series
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer, rows, statements

WEEK, LATER = "week:2011-01-03", "week:2011-01-10"


def key(span: str = WEEK, partition: int = 0, version: str = "v1") -> CountKey:
    return CountKey(partition, span, "serving", version, "all")


def counts(*cells: tuple[int, int]) -> Counts:
    made = empty_counts()
    for label, bin_ in cells:
        made[label, bin_] += 1
    return made


def same(found: dict[Series, Counts], expected: dict[Series, Counts]) -> bool:
    return found.keys() == expected.keys() and all(np.array_equal(found[at], expected[at]) for at in found)


@pytest.fixture
def buffer(engine: sa.Engine) -> Buffer:
    return Buffer(engine, CAPACITIES, TOPIC)


def series(span: str = WEEK, version: str = "v1") -> Series:
    return Series(span, "serving", version, "all")


def test_flushes_add_up(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    owner.flush(quality={key(): counts((0, 3), (1, 999))})
    owner.flush(quality={key(): counts((0, 3)), key(version="v2"): counts((1, 0))})
    expected = {series(): counts((0, 3), (0, 3), (1, 999)), series(version="v2"): counts((1, 0))}
    assert same(Quality(engine).weeks(), expected)


def test_a_new_owner_goes_on_from_what_is_stored(engine: sa.Engine, buffer: Buffer) -> None:
    Owner(engine, buffer).flush(quality={key(): counts((0, 1))})
    Owner(engine, Buffer(engine, CAPACITIES, TOPIC)).flush(quality={key(): counts((0, 2))})
    Owner(engine, buffer).flush(quality={key(): counts((0, 3))})
    assert same(Quality(engine).weeks(), {series(): counts((0, 1), (0, 2), (0, 3))})


def test_partitions_are_summed_when_read(engine: sa.Engine, buffer: Buffer) -> None:
    for partition in range(3):
        Owner(engine, buffer, partition).flush(quality={key(partition=partition): counts((0, partition))})
    assert same(Quality(engine).weeks(), {series(): counts((0, 0), (0, 1), (0, 2))})


def test_a_repeated_flush_counts_once_and_the_next_one_is_right(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    flush = owner.flush(quality={key(): counts((0, 1))})
    buffer.persist(flush)
    Buffer(engine, CAPACITIES, TOPIC).persist(flush)  # by a process that does not know that its COMMIT came through
    owner.flush(quality={key(): counts((0, 2))})
    assert same(Quality(engine).weeks(), {series(): counts((0, 1), (0, 2))})


def test_a_flush_whose_commit_failed_counts_once_when_it_is_repeated(
    engine: sa.Engine, buffer: Buffer, connect: Callable[[], sa.Engine]
) -> None:
    owner = Owner(engine, buffer)
    owner.flush(quality={key(): counts((0, 1))})
    flush, other = owner.prepare(quality={key(): counts((0, 2))}), connect()

    def end_the_session(connection: sa.Connection) -> None:
        pid = connection.scalar(sa.select(sa.func.pg_backend_pid()))
        rows(other, "SELECT pg_terminate_backend(:pid, 10000)", pid=pid)

    sa.event.listen(engine, "commit", end_the_session)
    with pytest.raises(Unavailable):
        buffer.persist(flush)
    sa.event.remove(engine, "commit", end_the_session)
    buffer.persist(flush)
    assert same(Quality(engine).weeks(), {series(): counts((0, 1), (0, 2))})


def test_a_fenced_worker_counts_nothing(engine: sa.Engine, buffer: Buffer) -> None:
    zombie = Owner(engine, buffer)
    zombie.flush(quality={key(): counts((0, 1))})
    Owner(engine, buffer, generation=2)
    with pytest.raises(Fenced):
        zombie.flush(quality={key(): counts((0, 2))})
    assert same(Quality(engine).weeks(), {series(): counts((0, 1))})


def test_a_flush_without_counts_between_changes_nothing(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    owner.flush(quality={key(): counts((0, 1))})
    owner.flush([offer("a", 1.0)])
    owner.flush(quality={key(): counts((0, 2))})
    assert same(Quality(engine).weeks(), {series(): counts((0, 1), (0, 2))})


def test_an_owner_does_not_read_again_what_it_wrote_last(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    owner.flush(quality={key(): counts((0, 1))})
    with statements(engine) as seen:
        owner.flush(quality={key(): counts((0, 2))})
    assert not any(statement.strip().startswith("SELECT span") for statement in seen)


def test_recent_sums_the_last_blocks_of_each_partition(engine: sa.Engine, buffer: Buffer) -> None:
    owner, other = Owner(engine, buffer), Owner(engine, buffer, partition=1)
    for block in range(BLOCKS_KEPT + 5):
        owner.flush(quality={key(f"block:{block}"): counts((0, block)), key(): counts((1, block))})
    other.flush(quality={key("block:3", partition=1): counts((1, 3))})
    expected = counts((1, 3), *((0, block) for block in range(5, BLOCKS_KEPT + 5)))
    assert same(Quality(engine).recent(), {series("recent"): expected})
    spans = rows(engine, "SELECT span FROM quality_counts WHERE partition = 0")
    assert len(spans) == BLOCKS_KEPT + 1
    assert Quality(engine).weeks()[series()].sum() == BLOCKS_KEPT + 5


def test_the_state_of_a_week_changes_when_any_of_its_rows_is_written_and_only_then(
    engine: sa.Engine, buffer: Buffer
) -> None:
    one, other = Owner(engine, buffer), Owner(engine, buffer, partition=1)
    one.flush(quality={key(): counts((0, 1)), key(span=LATER): counts((0, 1))})
    before = Quality(engine).week_states()
    assert before.keys() == {WEEK, LATER}
    assert Quality(engine).week_states() == before
    other.flush(quality={key(partition=1, span=LATER): counts((0, 2))})
    after = Quality(engine).week_states()
    assert after[WEEK] == before[WEEK]
    assert after[LATER] != before[LATER]
    assert same(Quality(engine).weeks([LATER]), {series(LATER): counts((0, 1), (0, 2))})
