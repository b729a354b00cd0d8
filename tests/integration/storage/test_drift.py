"""Blocks of the stream add up exactly, are evaluated once, in order and when complete, and states survive restarts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from uuid import uuid4

import msgspec
import numpy as np
import pytest
import sqlalchemy as sa

from importance.drift.block import Block
from importance.drift.detector import State, Verdict
from importance.drift.evaluation import DriftState, Evaluation, MergedBlocks, evaluate
from importance.drift.registry import Monitor
from importance.drift.sketch_key import ALL, SketchKey
from importance.errors import Unavailable
from importance.flush import Flush
from storage.audit import Audit, Author, Via
from storage.buffer import Buffer
from storage.drift import Drift, _states
from tests.support.storage import CAPACITIES, TOPIC, Owner, rows

HOUR_MS = 3_600_000


class Seen(State, frozen=True, tag="largest"):
    blocks: int = 0
    largest: float = 0.0


@dataclass(frozen=True, slots=True)
class Largest:
    """Alarms whenever the mean of a block is the largest by ``margin``: depends on the order, and on every block."""

    name: ClassVar[str] = "largest"
    margin: float = 1.0

    def start(self) -> Seen:
        return Seen()

    def update(self, state: Seen, block: Block, seed: int) -> tuple[Seen, Verdict | None]:
        mean = float(block.sums[0]) / block.count
        after = Seen(state.blocks + 1, max(state.largest, mean))
        if not state.blocks:
            return after, None
        return after, Verdict(mean, state.largest + self.margin, None, mean > state.largest + self.margin)


TESTS = [Monitor(Largest(), "loss"), Monitor(Largest(), "text_length")]


def of(tests: Sequence[Monitor] = TESTS):
    def given(states: Sequence[DriftState], blocks: MergedBlocks) -> Evaluation:
        return evaluate(tests, states, blocks)

    return given


def key(
    hour: int, partition: int = 0, feature: str = "text_length", version: str = "", segment: str = ALL
) -> SketchKey:
    return SketchKey(partition, hour * HOUR_MS, version, feature, segment)


def block(count: int, total: float) -> Block:
    return Block(count, np.array([total]))


@pytest.fixture
def buffer(engine: sa.Engine) -> Buffer:
    return Buffer(engine, CAPACITIES, TOPIC)


@pytest.fixture
def drift(engine: sa.Engine) -> Drift:
    return Drift(engine, block_ms=HOUR_MS, horizon_ms=HOUR_MS)


def blocks_of(drift: Drift) -> MergedBlocks:
    """What is complete, taken as an evaluation would be given it, and left where it is."""
    given: list[MergedBlocks] = []

    def look(states: Sequence[DriftState], blocks: MergedBlocks) -> Evaluation:
        given.append(blocks)
        raise Unavailable("only looking")

    try:
        drift.evaluate(look)
    except Unavailable:
        return given[0]
    return {}


def stored(drift: Drift) -> Sequence[DriftState]:
    """The states with those of their detectors, which are not read for display."""
    with drift._engine.connect() as connection:
        return _states(connection)


def test_flushes_owners_and_partitions_add_up(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    first = Owner(engine, buffer)
    first.flush(sketches={key(1): block(2, 3.0)})
    first.flush(sketches={key(1): block(1, 0.5), key(1, feature="loss", version="v1"): block(1, 9.0)})
    heir = Owner(engine, Buffer(engine, CAPACITIES, TOPIC))
    heir.flush(sketches={key(1, feature="loss", version="v1"): block(1, 1.0)}, event_time_ms=3 * HOUR_MS)
    other = Owner(engine, buffer, partition=1)
    other.flush(sketches={key(1, 1): block(4, 4.0)}, event_time_ms=3 * HOUR_MS)
    found = blocks_of(drift)
    assert list(found) == [HOUR_MS]
    assert {
        (version, feature): (sums.count, sums.sums.tolist())
        for version, each in found[HOUR_MS].items()
        for (feature, _), sums in each.items()
    } == {("", "text_length"): (7, [7.5]), ("v1", "loss"): (2, [10.0])}


def test_the_same_flush_twice_adds_once(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    owner = Owner(engine, buffer)
    flush: Flush = owner.prepare(sketches={key(1): block(2, 3.0)}, event_time_ms=9 * HOUR_MS)
    buffer.persist(flush)
    buffer.persist(flush)
    assert blocks_of(drift)[HOUR_MS][""]["text_length", ALL].count == 2


def test_a_block_is_evaluated_when_no_partition_can_add_to_it(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    fast, slow = Owner(engine, buffer), Owner(engine, buffer, partition=1)
    fast.flush(sketches={key(1): block(1, 1.0)}, event_time_ms=20 * HOUR_MS)
    slow.flush(sketches={key(1, 1): block(1, 1.0)}, event_time_ms=3 * HOUR_MS - 1)
    assert blocks_of(drift) == {}  # an impression of the first hour may come, a horizon of an hour behind
    slow.flush(sketches={key(1, 1): block(1, 1.0)}, event_time_ms=3 * HOUR_MS)
    assert blocks_of(drift)[HOUR_MS][""]["text_length", ALL].count == 3
    drift.evaluate(of())
    assert rows(engine, "SELECT count(*) FROM drift_blocks") == [(0,)]
    assert drift.evaluated_ms() == 2 * HOUR_MS


def test_a_partition_that_stands_still_is_waited_for_ten_minutes(
    engine: sa.Engine, buffer: Buffer, drift: Drift
) -> None:
    still, fast = Owner(engine, buffer), Owner(engine, buffer, partition=1)
    fast.flush(sketches={key(1, 1): block(1, 1.0)}, event_time_ms=90 * HOUR_MS)
    assert blocks_of(drift) == {}  # the other one was claimed, and has decided nothing yet
    still.flush(sketches={key(0): block(1, 1.0)}, event_time_ms=HOUR_MS)
    assert blocks_of(drift) == {}
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE progress SET moved = now() - interval '11 minutes' WHERE partition = 0"))
    assert list(blocks_of(drift)) == [0, HOUR_MS]
    still.flush(sketches={key(2): block(1, 1.0)}, event_time_ms=3 * HOUR_MS)
    assert list(blocks_of(drift)) == [0, HOUR_MS]


def test_a_topic_that_is_gone_holds_nothing_back(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    Owner(engine, buffer).flush(event_time_ms=10**15)
    other = Buffer(engine, CAPACITIES, uuid4())
    owner = Owner(engine, other, topic=other._topic_id)
    owner.flush(sketches={key(1): block(1, 1.0)}, event_time_ms=9 * HOUR_MS)
    assert list(blocks_of(drift)) == [HOUR_MS]


def test_many_blocks_are_evaluated_a_dozen_at_a_time(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    owner = Owner(engine, buffer)
    for hour in range(30):
        owner.flush(sketches={key(2 * hour): block(1, 1.0)}, event_time_ms=(2 * hour + 3) * HOUR_MS)
    ends = []
    while drift.evaluate(of()) is not None:
        ends.append(drift.evaluated_ms())
    assert ends == [23 * HOUR_MS, 47 * HOUR_MS, 60 * HOUR_MS]
    (state,) = stored(drift)
    assert msgspec.json.decode(state.state, type=Seen).blocks == 30


def test_what_a_worker_held_before_another_owner_came_is_not_used(
    engine: sa.Engine, buffer: Buffer, drift: Drift
) -> None:
    """A COMMIT that failed leaves a `next` in memory that another worker may reach with other samples."""
    Owner(engine, buffer).flush(sketches={key(1): block(5, 5.0)})
    with engine.begin() as connection:  # as if it had not been stored
        connection.execute(sa.text("UPDATE progress SET next = 0"))
        connection.execute(sa.text("DELETE FROM drift_blocks"))
    Owner(engine, Buffer(engine, CAPACITIES, TOPIC)).flush(sketches={key(1): block(2, 2.0)})
    Owner(engine, buffer).flush(sketches={key(1): block(1, 1.0)}, event_time_ms=9 * HOUR_MS)
    assert blocks_of(drift)[HOUR_MS][""]["text_length", ALL].count == 3


def test_what_comes_too_late_for_its_block_is_left_out(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    owner = Owner(engine, buffer)
    owner.flush(sketches={key(5): block(1, 1.0)}, event_time_ms=9 * HOUR_MS)
    drift.evaluate(of())
    owner.flush(sketches={key(2): block(1, 100.0), key(9): block(1, 1.0)}, event_time_ms=11 * HOUR_MS)
    assert list(blocks_of(drift)) == [9 * HOUR_MS]
    drift.evaluate(of())
    assert rows(engine, "SELECT count(*) FROM drift_blocks") == [(0,)]


def test_sums_of_a_release_with_other_features_are_written_over_or_skipped(
    engine: sa.Engine, buffer: Buffer, drift: Drift
) -> None:
    older, other = Owner(engine, buffer), Owner(engine, buffer, partition=1)
    older.flush(sketches={key(1): block(5, 5.0)})
    other.flush(sketches={key(1, 1): block(7, 7.0)}, event_time_ms=9 * HOUR_MS)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE drift_blocks SET layout = 'of another release', sums = 'unreadable'"))
    heir = Owner(engine, Buffer(engine, CAPACITIES, TOPIC))
    heir.flush(sketches={key(1): block(2, 2.0)}, event_time_ms=9 * HOUR_MS)
    assert blocks_of(drift)[HOUR_MS][""]["text_length", ALL].count == 2
    evaluated = drift.evaluate(of())
    assert evaluated is not None
    assert evaluated.skipped_rows == 1
    assert rows(engine, "SELECT count(*) FROM drift_blocks") == [(0,)]


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_and_restarts_change_neither_states_nor_alarms(
    engine: sa.Engine, buffer: Buffer, drift: Drift, seed: int
) -> None:
    """Four partitions, evaluated by whoever comes, whenever, are the same as one evaluation of all blocks."""
    source = random.Random(seed)
    sums = [[(source.randint(1, 5), float(source.randint(-40, 40))) for _ in range(4)] for _ in range(30)]
    owners = [Owner(engine, buffer, partition) for partition in range(4)]
    whole: dict[int, dict[str, dict[tuple[str, str], Block]]] = {}
    for hour, parts in enumerate(sums):
        for partition, (count, total) in enumerate(parts):
            at = {key(hour, partition): block(count, total)}
            owners[partition].flush(sketches=at, event_time_ms=(hour + 2) * HOUR_MS)
            if source.random() < 0.2:
                Drift(engine, HOUR_MS, HOUR_MS).evaluate(of())
            if source.random() < 0.1:
                owners[partition] = Owner(engine, Buffer(engine, CAPACITIES, TOPIC), partition)
        merged = block(sum(count for count, _ in parts), sum(total for _, total in parts))
        whole[hour * HOUR_MS] = {"": {("text_length", ALL): merged}}
    while drift.evaluate(of()) is not None:
        pass
    expected = evaluate(TESTS, (), whole)
    assert stored(drift) == list(expected.states)
    assert [recorded.alarm for recorded in reversed(drift.alarms())] == list(expected.alarms) != []
    assert drift.last_alarm() == drift.alarms(1)[0].time


def test_a_failed_evaluation_leaves_all_as_it_was(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    Owner(engine, buffer).flush(sketches={key(1): block(1, 1.0)}, event_time_ms=9 * HOUR_MS)
    assert blocks_of(drift) != {}
    assert drift.evaluated_ms() is None
    assert drift.states() == []
    assert list(blocks_of(drift)) == [HOUR_MS]


def test_references_start_again_on_request_and_alarms_stay(engine: sa.Engine, buffer: Buffer, drift: Drift) -> None:
    owner = Owner(engine, buffer)
    for hour, total in enumerate([1.0, 5.0]):
        owner.flush(
            sketches={key(hour): block(1, total), key(hour, feature="loss"): block(1, 1.0)},
            event_time_ms=(hour + 2) * HOUR_MS,
        )
    drift.evaluate(of())
    author = Author("op", Via.CLI, "a new catalogue")
    assert drift.restart(author, "text_length") == 1
    loss, length = stored(drift)
    assert (length.state, length.statistic, length.alarms) == (b"", None, 1)
    assert loss.state != b""
    assert drift.restart(author) == 2
    assert drift.restart(author, "unknown") == 0
    assert len(drift.alarms()) == 1
    entries = Audit(engine).entries(limit=5)
    assert [(entry.actor, entry.action, entry.target, entry.details) for entry in entries] == [
        ("op", "drift.restart", "", {"tests": 2}),
        ("op", "drift.restart", "text_length", {"tests": 1}),
    ]
