"""One owner a partition: effects are stored once, and a worker that lost its partition stores nothing."""

from collections.abc import Callable
from uuid import uuid4

import pytest
import sqlalchemy as sa

from importance.ceilings import reset
from importance.errors import Conflict, Fenced, Unavailable
from importance.flush import Flush
from importance.partition_progress import BEGINNING_OF_TIME_MS, Progress
from importance.sample import Action, Correction
from storage.audit import Author, Via
from storage.buffer import Buffer
from storage.engine import transaction
from storage.progress import Progresses, advance, decided
from tests.support.storage import CAPACITIES, TOPIC, Owner, held, offer, rows

ANN = Author("ann", Via.CLI)


@pytest.fixture
def buffer(engine: sa.Engine) -> Buffer:
    return Buffer(engine, CAPACITIES, TOPIC)


def test_a_new_partition_has_no_progress(engine: sa.Engine) -> None:
    assignment = Progresses(engine, TOPIC).claim(3, generation=7)
    assert (assignment.partition, assignment.epoch, assignment.progress) == (3, 1, None)


def test_every_claim_raises_the_epoch_and_finds_the_progress(engine: sa.Engine, buffer: Buffer) -> None:
    flush = Owner(engine, buffer).flush([offer("a", 1.0), offer("b", 2.0)])
    again = Progresses(engine, TOPIC).claim(0, generation=1)
    assert (again.epoch, again.progress) == (2, flush.progress)


def test_a_claim_of_an_older_generation_is_refused(engine: sa.Engine) -> None:
    progresses = Progresses(engine, TOPIC)
    progresses.claim(0, generation=5)
    with pytest.raises(Fenced, match="later generation than 4"):
        progresses.claim(0, generation=4)
    assert progresses.claim(0, generation=5).epoch == 2


def test_a_topic_made_again_begins_at_nothing(engine: sa.Engine, buffer: Buffer) -> None:
    Owner(engine, buffer).flush([offer("a", 1.0)])
    assert Progresses(engine, uuid4()).claim(0, generation=1).progress is None


def test_progress_may_begin_before_all_time(engine: sa.Engine, buffer: Buffer) -> None:
    start = Progress(9, BEGINNING_OF_TIME_MS, 9, BEGINNING_OF_TIME_MS)
    epoch = Progresses(engine, TOPIC).claim(0, generation=1).epoch
    buffer.persist(Flush(0, epoch, old_next=9, progress=start))
    assert Progresses(engine, TOPIC).claim(0, generation=1).progress == start


def test_a_worker_that_lost_its_partition_stores_nothing(engine: sa.Engine, buffer: Buffer) -> None:
    zombie = Owner(engine, buffer)
    zombie.flush([offer("a", 1.0)])
    heir = Owner(engine, buffer, generation=2)
    with pytest.raises(Fenced, match="it lost the partition"):
        zombie.flush([offer("b", 2.0)], [Correction("a", Action.CLICK)])
    assert set(held(engine)) == {"a"}
    assert rows(engine, "SELECT actions FROM buffer_samples") == [(0,)]
    heir.flush([offer("b", 2.0)])
    assert decided(engine).samples == 2


def test_a_flush_of_what_another_decided_is_not_stored(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    behind = owner.prepare([offer("x", 1.0)])
    owner.flush([offer("a", 1.0), offer("b", 2.0)])
    with pytest.raises(Fenced, match="is at offset 2"):
        buffer.persist(behind)
    assert set(held(engine)) == {"a", "b"}


def test_a_flush_without_a_claim_is_not_stored(buffer: Buffer) -> None:
    with pytest.raises(Fenced, match="does not exist"):
        buffer.persist(Flush(0, epoch=1, old_next=0, progress=Progress(1, 0, 0, 0)))


def test_a_flush_repeated_after_an_unclear_commit_is_stored_once(engine: sa.Engine, buffer: Buffer) -> None:
    owner = Owner(engine, buffer)
    flush = owner.flush([offer("a", 1.0), offer("b", 2.0)])
    before = rows(engine, "SELECT * FROM buffer_intake"), rows(engine, "SELECT xmin FROM buffer_keys")
    buffer.persist(flush)
    assert (rows(engine, "SELECT * FROM buffer_intake"), rows(engine, "SELECT xmin FROM buffer_keys")) == before
    assert decided(engine).samples == 2


def test_a_zombie_whose_corrections_move_nothing_is_told(engine: sa.Engine, buffer: Buffer) -> None:
    zombie = Owner(engine, buffer)
    zombie.flush([offer("a", 1.0)])
    Owner(engine, buffer, generation=2)
    with pytest.raises(Fenced):
        buffer.persist(zombie.prepare(corrections=[Correction("a", Action.CLICK)], stay=True))


def test_the_successor_of_a_worker_stopped_in_its_transaction_ends_that_session(
    engine: sa.Engine, buffer: Buffer, connect: Callable[[], sa.Engine]
) -> None:
    zombie = Owner(engine, buffer)
    zombie.flush([offer("a", 1.0)])
    stopped = zombie.prepare([offer("b", 2.0)])

    def stop_within_the_transaction() -> None:
        with transaction(connect()) as connection:
            assert advance(connection, TOPIC, stopped)  # the row is locked, and the process now stops
            heir = Progresses(connect(), TOPIC).claim(0, generation=2)
            assert (heir.epoch, heir.progress) == (2, Progress(1, 1_000, 0, 0))
            connection.execute(sa.select(1))  # it wakes up

    with pytest.raises(Unavailable):
        stop_within_the_transaction()
    with pytest.raises(Fenced):
        buffer.persist(stopped)
    assert set(held(engine)) == {"a"}


def test_an_old_member_does_not_end_the_session_of_its_successor(
    engine: sa.Engine, buffer: Buffer, connect: Callable[[], sa.Engine]
) -> None:
    owner = Owner(engine, buffer, generation=5)
    with transaction(connect()) as connection:
        assert advance(connection, TOPIC, owner.prepare([offer("a", 1.0)]))
        with pytest.raises(Unavailable, match="lock timeout"):
            Progresses(connect(), TOPIC).claim(0, generation=4)
        connection.execute(sa.select(1))


def test_positions_are_for_people_to_look_at(engine: sa.Engine, buffer: Buffer) -> None:
    Owner(engine, buffer, partition=1, generation=4).flush([offer("a", 1.0), offer("b", 2.0)])
    Owner(engine, buffer, partition=0, generation=4)
    new, other = Progresses(engine, TOPIC).positions()
    assert (new.partition, new.progress, new.samples) == (0, None, 0)
    assert (other.partition, other.epoch, other.generation, other.samples) == (1, 1, 4, 2)
    assert other.progress == Progress(2, 2_000, 0, 0)


def test_progress_that_is_replaced_fences_the_owner_and_is_what_the_next_one_finds(
    engine: sa.Engine, buffer: Buffer
) -> None:
    owner = Owner(engine, buffer)
    owner.flush([offer("a", 1.0)])
    progresses = Progresses(engine, TOPIC)
    (position,) = progresses.positions()
    assert position.progress is not None
    wanted = reset(position.progress, wall_ms=1_700_000_000_000)
    progresses.replace(position, wanted, ANN)
    with pytest.raises(Fenced, match="it lost the partition"):
        owner.flush([offer("b", 2.0)])
    assert set(held(engine)) == {"a"}
    claimed = progresses.claim(0, generation=1)
    assert (claimed.epoch, claimed.progress) == (3, wanted)
    assert wanted.ceilings == ((0, 1_700_000_300_000),)


def test_progress_that_moved_or_was_claimed_meanwhile_is_not_replaced(engine: sa.Engine, buffer: Buffer) -> None:
    progresses, owner = Progresses(engine, TOPIC), Owner(engine, buffer)
    flush = owner.flush([offer("a", 1.0)])
    (before,) = progresses.positions()
    after = owner.flush([offer("b", 2.0)])
    for look in (before, progresses.positions()[0]):
        with pytest.raises(Conflict, match=r"^partition 0 was claimed or has moved meanwhile: read it again$"):
            progresses.replace(look, flush.progress, ANN)
        progresses.claim(0, generation=1)
    assert progresses.positions()[0].progress == after.progress


def test_progress_is_not_replaced_while_a_stopped_process_holds_it(engine: sa.Engine, buffer: Buffer) -> None:
    flush = Owner(engine, buffer).flush([offer("a", 1.0)])
    (position,) = Progresses(engine, TOPIC).positions()
    with transaction(engine) as holder:
        assert advance(holder, TOPIC, Flush(0, 1, flush.progress.next, Progress(9, 0, 0, 0)))
        with pytest.raises(Unavailable):
            Progresses(engine, TOPIC).replace(position, flush.progress, ANN)
