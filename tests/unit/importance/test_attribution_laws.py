"""The laws of the join: chunks, crashes, order within the horizon and repetition change nothing.

Times are a few milliseconds and ids few, so that windows close, ids are forgotten and actions miss their impressions
in most examples.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from importance.attribution import DeadRecord, Decisions, Join, Policy, Progress, Record, replay_partition
from importance.ceilings import STEP_MS
from importance.decisions import OUTCOMES
from importance.errors import InvalidEvent
from importance.events import MAX_AHEAD_MS, decode
from importance.sample import Action, Rating, Sample
from tests.support.malformed import valid_action, valid_heartbeat, valid_impression

FAR_MS = 10**12
KINDS = ("click", "add_to_cart", "purchase", "return", "rating")

unhurried = settings(deadline=None)  # a busy machine is no fault of the join
sources = st.integers(0, 2**32).map(random.Random)
policies = st.builds(Policy, window_ms=st.integers(1, 12), deduplication_ms=st.integers(1, 12))
bounded_policies = st.builds(
    Policy,
    window_ms=st.integers(1, 12),
    deduplication_ms=st.integers(1, 12),
    max_waiting=st.integers(1, 4),
    max_waiting_bytes=st.integers(200, 1000),
    max_remembered=st.integers(1, 30),
)
partly_bounded_policies = st.builds(
    Policy, window_ms=st.integers(1, 12), deduplication_ms=st.integers(1, 12), max_waiting=st.integers(1, 4)
)


OFF_MS = [0, 0, 0, 1, 3, -1, -3, -9, -15]
FAR_OFF_MS = [*OFF_MS, *OFF_MS[:4], 35, 50, 80, 200, 10**6]
"""Clocks of producers. In units of ten seconds, some are wrong by more than the five minutes that are allowed."""


@st.composite
def partitions(draw: st.DrawFn, unit_ms: int = 1, off_ms: Sequence[int] = OFF_MS) -> list[Record]:
    """Any content: jumps forth and back in time, Kafka's clock behind, gaps, repeats with other content, garbage."""
    records: list[Record] = []
    offset = draw(st.integers(0, 3))
    now_ms = 20
    for _ in range(draw(st.integers(0, 40))):
        now_ms += draw(st.sampled_from([0, 0, 1, 1, 2, 5, 15]))
        time = max(now_ms + draw(st.sampled_from(off_ms)), 0)
        kafka_time_ms = draw(st.sampled_from([FAR_MS, FAR_MS, time, max(time - 2, 0)]))
        records.append((offset, kafka_time_ms * unit_ms, draw(values(time * unit_ms))))
        offset += draw(st.sampled_from([1, 1, 1, 1, 2, 4]))
    return records


@st.composite
def values(draw: st.DrawFn, time: int) -> bytes | None:
    impression = f"i{draw(st.integers(0, 6))}"
    match draw(st.sampled_from("iiiaaaahx")):
        case "i":
            return valid_impression(impression, time=time)
        case "a":
            kind = draw(st.sampled_from(KINDS))
            return valid_action(f"a{draw(st.integers(0, 12))}", impression, kind, time=time)
        case "h":
            return valid_heartbeat(time)
    return draw(st.sampled_from([None, b"{", b'{"type": "view"}']))


@dataclass
class Store:
    """What a database would hold: the first sample of an id wins, corrections change what is there.

    ``dead`` and ``counts`` are what was sent and counted on the way.
    """

    decided: list[Sample] = field(default_factory=list)
    dead: list[DeadRecord] = field(default_factory=list)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    final: dict[str, tuple[int, Rating | None]] = field(default_factory=dict)
    progress: Progress = field(default_factory=lambda: Progress.beginning(0))

    def apply(self, decisions: Decisions) -> None:
        assert self.progress.next <= decisions.progress.next
        assert self.progress.acknowledged <= decisions.progress.acknowledged <= decisions.progress.next
        assert all(self.progress.next <= sample.offset < decisions.progress.next for sample in decisions.samples)
        self.decided += decisions.samples
        self.dead += decisions.dead
        self.counts += decisions.counts
        for sample in decisions.samples:
            self.final.setdefault(sample.id, (sample.actions, sample.rating))
        for correction in decisions.corrections:
            if correction.sample_id in self.final:
                actions, rating = self.final[correction.sample_id]
                ratings = [one for one in (rating, correction.rating) if one is not None]
                self.final[correction.sample_id] = actions | correction.actions, max(ratings, default=None)
        self.progress = decisions.progress

    @property
    def final_of_unique_ids(self) -> dict[str, tuple[int, Rating | None]]:
        """An id that became two samples, with different contents beyond the horizon, is its producer's mistake."""
        ids = [sample.id for sample in self.decided]
        return {sample_id: final for sample_id, final in self.final.items() if ids.count(sample_id) == 1}


def end_of(records: list[Record]) -> int:
    return records[-1][0] + 1 if records else 0


def chunks_of(records: list[Record], source: random.Random, most: int = 6) -> list[tuple[int, int, list[Record]]]:
    """The records in chunks; a gap between two of them belongs to the one or to the other."""
    chunks = []
    begin, first = 0, 0
    while begin < len(records):
        end = min(len(records), begin + source.randint(1, most))
        reach = records[end][0] if end < len(records) else end_of(records)
        stop = source.choice([records[end - 1][0] + 1, reach])
        chunks.append((first, stop, records[begin:end]))
        begin, first = end, stop
    return chunks


def read_at_once(records: list[Record], policy: Policy) -> Store:
    store = Store()
    store.apply(Join(policy, 0, Progress.beginning(0)).feed(0, end_of(records), records))
    return store


def store_in_parts(store: Store, pending: Decisions, source: random.Random, crash_ratio: float) -> bool:
    """Store what is pending in small transactions; False when the worker died between two of them."""
    for part in pending.parts(store.progress, max_samples=source.choice([1, 2, 3, 100])):
        store.apply(part)
        if part.progress != pending.progress and source.random() < crash_ratio:
            return False
    return True


def read_with_crashes(
    records: list[Record], policy: Policy, source: random.Random, crash_ratio: float, idle_ratio: float = 0
) -> Store:
    """A worker that flushes, idles and dies now and then; its successor reads from where it can."""
    store = Store()
    while True:
        start = max(0, store.progress.acknowledged - source.choice([0, 0, 3]))
        rest = [record for record in records if record[0] >= start]
        join = Join(policy, 0, store.progress)
        pending = Decisions(join.progress)
        for first, end, chunk in chunks_of(rest, source):
            pending.extend(join.feed(max(first, start), end, chunk))
            if source.random() < idle_ratio:
                pending.extend(join.advance(join.event_time_ms + source.randint(1, 8)))
            if source.random() < crash_ratio:
                break
            if source.random() < 0.6:
                if not store_in_parts(store, pending, source, crash_ratio):
                    break
                join.committed()
                pending = Decisions(join.progress)
        else:
            if store_in_parts(store, pending, source, crash_ratio):
                return store


@unhurried
@given(partitions(), bounded_policies, sources)
def test_chunks_change_nothing_at_all(records: list[Record], policy: Policy, source: random.Random) -> None:
    whole = Join(policy, 0, Progress.beginning(0)).feed(0, end_of(records), records)
    join = Join(policy, 0, Progress.beginning(0))
    parts = Decisions(join.progress)
    for first, end, chunk in chunks_of(records, source):
        parts.extend(join.feed(first, end, chunk))
    assert parts.samples == whole.samples
    assert parts.corrections == whole.corrections
    assert parts.dead == whole.dead
    assert parts.counts == whole.counts
    assert (parts.progress.next, parts.progress.event_time_ms) == (whole.progress.next, whole.progress.event_time_ms)


@unhurried
@given(partitions(), bounded_policies, sources)
def test_flushes_change_nothing_that_is_stored(records: list[Record], policy: Policy, source: random.Random) -> None:
    flushed = read_with_crashes(records, policy, source, crash_ratio=0)
    whole = read_at_once(records, policy)
    assert flushed.decided == whole.decided
    assert flushed.final_of_unique_ids == whole.final_of_unique_ids


@unhurried
@given(partitions(), partly_bounded_policies, sources)
def test_crashes_change_nothing_that_is_stored(records: list[Record], policy: Policy, source: random.Random) -> None:
    crashed = read_with_crashes(records, policy, source, crash_ratio=0.3)
    whole = read_at_once(records, policy)
    assert crashed.decided == whole.decided
    assert crashed.final_of_unique_ids == whole.final_of_unique_ids
    assert crashed.progress.next == whole.progress.next
    assert (crashed.dead, crashed.counts) == (whole.dead, whole.counts)  # each record once


minutes_policies = st.builds(
    Policy, window_ms=st.integers(1, 12).map(STEP_MS.__mul__), deduplication_ms=st.integers(1, 12).map(STEP_MS.__mul__)
)


@unhurried
@given(partitions(unit_ms=STEP_MS, off_ms=FAR_OFF_MS), minutes_policies, sources)
def test_whatever_clock_reads_a_record_again_it_is_judged_by_the_clock_that_read_it_first(
    records: list[Record], policy: Policy, source: random.Random
) -> None:
    crashed, walls = read_with_crashes_at_a_wall_clock(records, policy, source)
    ahead = records_ahead(records, walls)
    whole = read_at_once([record for record in records if record[0] not in ahead], policy)
    assert crashed.decided == whole.decided
    assert crashed.final_of_unique_ids == whole.final_of_unique_ids
    assert [dead for dead in crashed.dead if dead.reason != "time_ahead_of_clock"] == whole.dead
    assert [dead.offset for dead in crashed.dead if dead.reason == "time_ahead_of_clock"] == ahead
    assert crashed.counts == whole.counts + Counter({("invalid", "dead"): len(ahead)})


def records_ahead(records: list[Record], walls: dict[int, int]) -> list[int]:
    """The offsets that a reader must refuse whose wall clock was ``walls``; by no code of the join's."""
    ahead = []
    event_time_ms = ceiling_ms = 0
    for offset, kafka_time_ms, value in records:
        try:
            seen_ms = min(decode(value, kafka_time_ms).time_ms, kafka_time_ms)
        except InvalidEvent:
            continue
        if seen_ms > max(event_time_ms, ceiling_ms):
            ceiling_ms = max(ceiling_ms, walls[offset] + MAX_AHEAD_MS)
        if seen_ms <= max(event_time_ms, ceiling_ms):
            event_time_ms = max(event_time_ms, seen_ms)
        else:
            ahead.append(offset)
    return ahead


def read_with_crashes_at_a_wall_clock(
    records: list[Record], policy: Policy, source: random.Random
) -> tuple[Store, dict[int, int]]:
    """Read while the clock goes on, also between a crash and what follows; with the clock of each record's first read.

    What a crash undid before it was stored was never read.
    """
    store, walls = Store(), dict[int, int]()
    wall_ms = source.randint(0, 60) * STEP_MS - MAX_AHEAD_MS // 2
    hurry = source.choice([1, 1, 1, 12])  # over all chunks, a clock that goes as the records do, or past them
    while True:
        start = store.progress.acknowledged
        join = Join(policy, 0, store.progress)
        pending, read = Decisions(join.progress), dict[int, int]()
        for first, end, chunk in chunks_of([record for record in records if record[0] >= start], source):
            wall_ms += source.choice([0, 1, 2, 8]) * hurry * STEP_MS
            pending.extend(join.feed(max(first, start), end, chunk, wall_ms))
            read |= {record[0]: wall_ms for record in chunk if record[0] not in walls}
            if source.random() < 0.2:
                break
            if source.random() < 0.6:
                walls |= read
                if not store_in_parts(store, pending, source, crash_ratio=0.2):
                    break
                join.committed()
                pending, read = Decisions(join.progress), {}
        else:
            walls |= read
            if store_in_parts(store, pending, source, crash_ratio=0.2):
                return store, walls


@unhurried
@given(partitions(unit_ms=STEP_MS, off_ms=FAR_OFF_MS), minutes_policies, sources)
def test_no_record_moves_event_time_past_the_wall_clock_and_five_minutes(
    records: list[Record], policy: Policy, source: random.Random
) -> None:
    join = Join(policy, 0, Progress.beginning(0))
    wall_ms = 0
    for first, end, chunk in chunks_of(records, source):
        wall_ms += source.choice([0, 1, 5, 40]) * STEP_MS
        join.feed(first, end, chunk, wall_ms)
        assert join.event_time_ms <= wall_ms + MAX_AHEAD_MS


@unhurried
@given(partitions(), bounded_policies, sources)
def test_no_offset_is_decided_twice_even_past_the_bounds_and_with_idle_times(
    records: list[Record], policy: Policy, source: random.Random
) -> None:
    crashed = read_with_crashes(records, policy, source, crash_ratio=0.3, idle_ratio=0.3)
    offsets = [sample.offset for sample in crashed.decided]
    assert all(one < other for one, other in pairwise(offsets))


@unhurried
@given(partitions(), policies, sources)
def test_what_is_acknowledged_never_passes_an_unresolved_impression(
    records: list[Record], policy: Policy, source: random.Random
) -> None:
    resolved = {sample.offset for sample in replay_partition(records, policy, until_ms=FAR_MS).samples}
    join = Join(policy, 0, Progress.beginning(0))
    decided: set[int] = set()
    for first, end, chunk in chunks_of(records, source):
        decisions = join.feed(first, end, chunk)
        decided |= {sample.offset for sample in decisions.samples}
        assert not {offset for offset in resolved - decided if offset < decisions.progress.next}
        assert decisions.progress.acknowledged <= decisions.progress.next <= join.position


@unhurried
@given(partitions(), policies, sources)
def test_everything_is_acknowledged_in_the_end(records: list[Record], policy: Policy, source: random.Random) -> None:
    join = Join(policy, 0, Progress.beginning(0))
    for first, end, chunk in chunks_of(records, source):
        join.feed(first, end, chunk)
    join.advance(FAR_MS)
    assert join.waiting == 0
    assert join.progress.acknowledged == join.progress.next == join.position == end_of(records)


@dataclass(frozen=True)
class Event:
    """An event as its producer knows it."""

    time: int
    id: str
    impression: str
    kind: str

    @property
    def value(self) -> bytes:
        if self.kind == "impression":
            return valid_impression(self.id, time=self.time)
        return valid_action(self.id, self.impression, self.kind, time=self.time)


@st.composite
def shops(draw: st.DrawFn) -> list[Event]:
    """Impressions, and actions that answer them, each at its impression's time or any time later."""
    events = []
    for number in range(draw(st.integers(1, 8))):
        time = 20 + draw(st.integers(0, 40))
        events.append(Event(time, f"i{number}", "", "impression"))
        for answer in range(draw(st.integers(0, 4))):
            later = time + draw(st.sampled_from([0, 1, 4, 9, 10, 11, 25, 60]))
            events.append(Event(later, f"a{number}-{answer}", f"i{number}", draw(st.sampled_from(KINDS))))
    return events


def shuffled(events: list[Event], policy: Policy, source: random.Random) -> list[Record]:
    """Any order in which none comes a horizon or a window behind another; with copies anywhere after that."""
    slack_ms = min(policy.window_ms, policy.deduplication_ms)
    ordered = sorted(events, key=lambda event: (event.time + source.randrange(slack_ms), source.random()))
    for _ in range(source.randint(0, len(ordered))):
        copied = source.randrange(len(ordered))
        ordered.insert(source.randint(copied + 1, len(ordered)), ordered[copied])
    return [(offset, FAR_MS, event.value) for offset, event in enumerate(ordered)]


@unhurried
@given(shops(), partly_bounded_policies, sources)
def test_the_order_within_the_horizon_repetition_chunks_and_crashes_do_not_change_what_is_stored(
    events: list[Event], policy: Policy, source: random.Random
) -> None:
    ended: list[Record] = [(1000 + number, FAR_MS, valid_heartbeat(1000 + 20 * number)) for number in range(3)]
    store = read_with_crashes(shuffled(events, policy, source) + ended, policy, source, crash_ratio=0.2)

    def answers(event: Event) -> list[Event]:
        return [action for action in events if action.impression == event.id]

    shown = {event.id: event for event in events if event.kind == "impression"}
    assert sorted(sample.id for sample in store.decided) == sorted(shown)
    for sample_id, event in shown.items():
        bits = 0
        for action in answers(event):
            bits |= Action[action.kind.upper()].value
        ratings = [Rating(action.time, action.id, 4.0) for action in answers(event) if action.kind == "rating"]
        assert store.final[sample_id] == (bits, max(ratings, default=None))


@unhurried
@given(shops(), partly_bounded_policies, sources)
def test_a_topic_delivered_twice_is_stored_once(events: list[Event], policy: Policy, source: random.Random) -> None:
    records = shuffled(events, policy, source)
    again = [(len(records) + offset, kafka_time_ms, value) for offset, kafka_time_ms, value in records]
    once = replay_partition(records, policy, until_ms=1000)
    twice = replay_partition(records + again, policy, until_ms=1000)
    assert [sample.id for sample in twice.samples] == [sample.id for sample in once.samples]
    assert (twice.actions, twice.ratings) == (once.actions, once.ratings)


@unhurried
@given(partitions(), bounded_policies)
def test_everything_that_is_counted_is_a_declared_outcome(records: list[Record], policy: Policy) -> None:
    assert set(replay_partition(records, policy, until_ms=FAR_MS).counts) <= set(OUTCOMES)
