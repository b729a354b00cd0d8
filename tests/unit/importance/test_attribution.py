"""The rules of the join, one by one. Window and deduplication horizon are 10 ms unless said otherwise."""

from typing import Any

import pytest

from importance.attribution import BEGINNING_OF_TIME_MS, Decisions, Join, Policy, Progress, Record, replay_partition
from importance.errors import InvalidInput
from importance.sample import Action, Correction, Rating, Sample
from tests.support.malformed import valid_action, valid_heartbeat, valid_impression

POLICY = Policy(window_ms=10, deduplication_ms=10)
FAR_MS = 10**12  # a Kafka timestamp that holds nothing back

Value = bytes | None


def records_of(*values: Value, first: int = 0, kafka_time_ms: int = FAR_MS) -> list[Record]:
    return [(offset, kafka_time_ms, value) for offset, value in enumerate(values, first)]


def read(*values: Value, join: Join | None = None) -> Decisions:
    join = join or new_join()
    return join.feed(join.position, join.position + len(values), records_of(*values, first=join.position))


def new_join(policy: Policy = POLICY, start: Progress | None = None) -> Join:
    return Join(policy, partition=3, start=start or Progress.beginning(0))


def seen(event_id: str, time: int, **fields: Any) -> bytes:
    return valid_impression(event_id, time=time, **fields)


def clicked(event_id: str, impression: str, time: int, kind: str = "click", **fields: Any) -> bytes:
    return valid_action(event_id, impression, kind, time=time, **fields)


def beat(time: int) -> bytes:
    return valid_heartbeat(time)


def ids(decisions: Decisions) -> list[str]:
    return [sample.id for sample in decisions.samples]


def actions(decisions: Decisions) -> dict[str, Action]:
    return {sample.id: Action(sample.actions) for sample in decisions.samples}


def test_a_sample_is_the_impression_with_its_actions() -> None:
    fields: dict[str, Any] = {"position": 2, "propensity": 0.5, "value": 3, "attributes": {"category": "lighting"}}
    decisions = read(
        beat(90), seen("i", 100, **fields), clicked("a", "i", 103), clicked("b", "i", 104, "rating"), beat(110)
    )
    assert decisions.samples == [
        Sample(
            id="i",
            subject="s-1",
            surface="search",
            query="red lamp",
            item="p-1",
            text="A red lamp with a bell",
            time_ms=100,
            partition=3,
            offset=1,
            actions=Action.CLICK | Action.RATING,
            rating=Rating(104, "b", 4.0),
            position=2,
            propensity=0.5,
            value=3.0,
            attributes={"category": "lighting"},
        )
    ]
    assert type(decisions.samples[0].actions) is int


def test_a_window_closes_when_event_time_has_passed_it_and_before_the_record_that_passes_it_is_applied() -> None:
    join = new_join()
    assert ids(read(seen("i", 100), beat(109), join=join)) == []
    decisions = read(clicked("a", "i", 110), join=join)
    assert actions(decisions) == {"i": Action.NONE}
    assert decisions.corrections == [Correction("i", Action.CLICK)]


def test_an_action_counts_whatever_its_own_time_is() -> None:
    assert actions(read(seen("i", 100), clicked("a", "i", 5), beat(110))) == {"i": Action.CLICK}


def test_actions_are_a_set() -> None:
    decisions = read(
        seen("i", 100), clicked("a", "i", 101, "purchase"), clicked("b", "i", 102), clicked("c", "i", 103), beat(110)
    )
    assert actions(decisions) == {"i": Action.PURCHASE | Action.CLICK}


def test_the_latest_rating_counts_then_the_larger_id() -> None:
    ratings = [("a", 103, 1), ("c", 105, 2), ("b", 105, 3), ("d", 104, 4)]
    decisions = read(seen("i", 100), *(clicked(i, "i", time, "rating", value=v) for i, time, v in ratings), beat(110))
    assert decisions.samples[0].rating == Rating(105, "c", 2.0)


def test_decisions_are_in_offset_order_and_a_closed_impression_behind_an_open_one_still_gains() -> None:
    join = new_join()
    assert ids(read(seen("late close", 105), seen("early close", 100), beat(112), join=join)) == []
    assert join.oldest_due_ms == 115
    decisions = read(clicked("a", "early close", 113), beat(115), join=join)
    assert actions(decisions) == {"late close": Action.NONE, "early close": Action.CLICK}


def test_event_time_is_the_largest_of_the_smaller_of_own_and_kafka_time() -> None:
    join = new_join()
    values = [
        (0, 100, seen("i", 130)),
        (1, 90, beat(95)),
        (2, 120, beat(115)),
        (3, 200, beat(114)),
        (4, 200, b"broken"),
    ]
    times = []
    for record in values:
        join.feed(record[0], record[0] + 1, [record])
        times.append(join.event_time_ms)
    assert times == [100, 100, 115, 115, 115]


def test_a_heartbeat_moves_event_time_and_nothing_else() -> None:
    decisions = read(seen("i", 100), beat(109), beat(110))
    assert ids(decisions) == ["i"]
    assert decisions.counts == {("impression", "accepted"): 1, ("heartbeat", "accepted"): 2}


def test_a_repeat_inside_the_horizon_changes_nothing_and_the_first_content_wins() -> None:
    decisions = read(
        seen("i", 100),
        seen("i", 101, text="another"),
        clicked("a", "i", 102),
        clicked("a", "i", 102, "purchase"),
        clicked("i", "i", 102, "purchase"),
        beat(110),
    )
    assert [(sample.text, sample.actions) for sample in decisions.samples] == [("A red lamp with a bell", Action.CLICK)]
    assert decisions.counts["impression", "duplicate"] == 1
    assert decisions.counts["purchase", "duplicate"] == 2


@pytest.mark.parametrize(("now_ms", "outcome"), [(109, "duplicate"), (110, "late"), (500, "late")])
def test_an_exact_copy_is_a_duplicate_and_then_late_but_never_a_second_sample(now_ms: int, outcome: str) -> None:
    decisions = read(seen("i", 100), beat(now_ms), seen("i", 100), beat(1000))
    assert ids(decisions) == ["i"]
    assert decisions.counts["impression", outcome] == 1


def test_a_repeat_prolongs_the_memory_of_its_id() -> None:
    assert ids(read(seen("i", 100), seen("i", 108), beat(115), seen("i", 116), beat(200))) == ["i"]


def test_an_impression_past_the_horizon_is_late_and_ignored() -> None:
    decisions = read(beat(110), seen("late", 100), seen("in time", 101), beat(200))
    assert ids(decisions) == ["in time"]
    assert decisions.counts["impression", "late"] == 1


def test_an_action_past_the_horizon_still_counts() -> None:
    join = new_join()
    read(seen("i", 100), seen("j", 140), join=join)
    decisions = read(clicked("a", "i", 100), clicked("b", "j", 100), join=join)
    assert decisions.corrections == [Correction("i", Action.CLICK)]
    assert actions(read(beat(150), join=join)) == {"j": Action.CLICK}


def test_an_impression_takes_the_actions_that_wait_for_it() -> None:
    join = new_join()
    first = read(clicked("a", "i", 100), clicked("b", "i", 100, "rating"), clicked("c", "other", 100), join=join)
    assert first.corrections == [
        Correction("i", Action.CLICK | Action.RATING, Rating(100, "b", 4.0)),
        Correction("other", Action.CLICK),
    ]
    read(seen("i", 109), join=join)
    ended = read(beat(110), join=join)
    assert ended.corrections == [Correction("other", Action.CLICK)]
    assert read(beat(119), join=join).samples[0].rating == Rating(100, "b", 4.0)


def test_an_action_is_looked_up_when_it_comes_and_when_its_wait_ends() -> None:
    join = new_join()
    corrections = [
        read(value, join=join).corrections
        for value in (beat(100), clicked("a", "i", 90), beat(109), beat(110), beat(200))
    ]
    click = [Correction("i", Action.CLICK)]
    assert corrections == [[], click, [], click, []]


def test_actions_of_one_impression_end_their_waits_each_at_its_own_time() -> None:
    join = new_join()
    read(clicked("a", "i", 100), clicked("b", "i", 105, "purchase"), join=join)
    assert read(beat(110), join=join).corrections == [Correction("i", Action.CLICK)]
    assert actions(read(seen("i", 111), beat(121), join=join)) == {"i": Action.PURCHASE}


def test_a_correction_from_before_the_decision_is_not_applied_to_the_sample_of_the_same_flush() -> None:
    values = (clicked("a", "i", 100), beat(110), seen("i", 111), beat(121), clicked("b", "i", 122, "purchase"))
    decisions = read(*values)
    assert actions(decisions) == {"i": Action.NONE}
    assert decisions.corrections == [Correction("i", Action.PURCHASE)]


def test_corrections_of_one_sample_are_one() -> None:
    decisions = read(
        clicked("a", "i", 100), clicked("b", "i", 101, "rating"), clicked("c", "i", 102, "rating", value=1)
    )
    assert decisions.corrections == [Correction("i", Action.CLICK | Action.RATING, Rating(102, "c", 1.0))]


def test_an_invalid_record_is_reported_with_its_offset_and_moves_nothing() -> None:
    decisions = read(None, b"{", seen("i", 100), b'{"type": "view", "time": 900}', beat(109))
    assert [(dead.offset, dead.reason) for dead in decisions.dead] == [
        (0, "null_value"),
        (1, "not_json"),
        (3, "unknown_type"),
    ]
    assert decisions.counts["invalid", "dead"] == 3
    assert decisions.samples == []


def test_next_is_the_first_undecided_impression_or_the_end_of_what_was_read() -> None:
    join = new_join()
    assert (join.progress.next, join.progress.event_time_ms) == (0, BEGINNING_OF_TIME_MS)
    read(beat(100), join=join)
    assert (join.progress.next, join.progress.event_time_ms) == (1, 100)
    read(seen("i", 104), beat(113), join=join)
    assert (join.progress.next, join.progress.event_time_ms) == (1, 100)
    read(seen("j", 114), beat(115), join=join)
    assert (join.progress.next, join.progress.event_time_ms) == (3, 113)
    read(beat(124), join=join)
    assert (join.progress.next, join.progress.event_time_ms) == (6, 124)


def test_the_end_of_a_chunk_may_lie_behind_its_last_record() -> None:
    join = new_join()
    join.feed(5, 9, records_of(beat(100), first=6))
    assert (join.position, join.progress.next) == (9, 9)
    join.feed(9, 12, [])
    assert (join.position, join.progress.next) == (12, 12)


def test_what_was_read_already_is_skipped() -> None:
    join = new_join()
    records = records_of(seen("i", 100), clicked("a", "x", 100), None)
    join.feed(0, 3, records)
    again = join.feed(0, 3, records)
    assert (again.samples, again.corrections, again.dead, again.counts) == ([], [], [], {})
    assert again.progress == join.progress
    overlapping = join.feed(1, 4, [*records[1:], (3, FAR_MS, beat(110))])
    assert ids(overlapping) == ["i"]
    assert overlapping.counts == {("heartbeat", "accepted"): 1}


def test_a_chunk_is_acknowledged_a_horizon_and_a_window_behind_what_is_decided() -> None:
    join = new_join()
    acknowledged = []
    for value in (seen("i", 100), beat(119), beat(120), clicked("a", "x", 90), beat(129), beat(130)):
        read(value, join=join)
        acknowledged.append(join.progress.acknowledged)
    # the impression is forgotten at 110, and actions that it made repeats of at 120; the action waits until 130
    assert acknowledged == [0, 0, 3, 3, 3, 6]
    assert join.progress.acknowledged_event_time_ms == 130


def test_a_repeated_action_below_next_is_a_repeat_after_a_restart_too() -> None:
    """Were its first copy acknowledged once forgotten, the second would wait on its own, and reach the impression."""
    values = [clicked("a", "i", 100), beat(109), clicked("a", "i", 100), beat(111), seen("i", 112), beat(122)]
    before = new_join()
    for value in values[:4]:
        read(value, join=before)
    start = before.progress.acknowledged
    after = new_join(start=before.progress)
    after.feed(start, 4, records_of(*values[start:4], first=start))
    assert actions(read(*values[4:], join=after)) == actions(read(*values[4:], join=before)) == {"i": Action.NONE}


def test_what_is_acknowledged_never_passes_an_impression_that_waits() -> None:
    join = new_join()
    read(beat(100), join=join)
    read(beat(200), seen("i", 209), join=join)
    read(beat(218), join=join)
    assert (join.progress.next, join.progress.acknowledged) == (2, 1)


def test_malformed_messages_alone_can_be_acknowledged() -> None:
    join = new_join()
    read(None, b"", join=join)
    assert join.progress == Progress(2, BEGINNING_OF_TIME_MS, 2, BEGINNING_OF_TIME_MS, read=2)


def test_below_next_only_ids_and_waiting_actions_are_restored() -> None:
    policy = Policy(window_ms=10, deduplication_ms=20)
    values = [seen("i", 100), clicked("a", "x", 101), None, clicked("b", "y", 103), seen("j", 104), beat(110)]
    before = new_join(policy)
    for value in values:
        read(value, join=before)
    assert before.progress == Progress(
        next=4, event_time_ms=103, acknowledged=0, acknowledged_event_time_ms=BEGINNING_OF_TIME_MS, read=6
    )
    after = new_join(policy, start=before.progress)
    reread = after.feed(0, 4, records_of(*values[:4]))
    assert (reread.samples, reread.corrections, reread.dead, reread.counts) == ([], [], [], {})
    assert reread.progress == before.progress
    rest = after.feed(4, 6, records_of(*values[4:], first=4))
    assert (rest.samples, rest.counts) == ([], {})  # what was read was counted
    copies = read(seen("i", 105), clicked("b", "y", 103, "purchase"), seen("x", 110), beat(120), join=after)
    assert copies.counts["impression", "duplicate"] == 1
    assert copies.counts["purchase", "duplicate"] == 1
    assert actions(copies) == {"j": Action.NONE, "x": Action.CLICK}
    assert copies.corrections == [Correction("y", Action.CLICK)]


def test_idle_time_decides_what_waits() -> None:
    join = new_join()
    read(seen("i", 100), clicked("a", "x", 100), join=join)
    assert join.advance(109).samples == []
    decisions = join.advance(110)
    assert ids(decisions) == ["i"]
    assert decisions.corrections == [Correction("x", Action.CLICK)]
    assert decisions.progress == join.progress
    assert join.progress.next == 2
    assert join.advance(120).progress.acknowledged == 2


def test_idle_time_never_goes_back() -> None:
    join = new_join()
    join.advance(50)
    read(beat(100), join=join)
    join.advance(70)
    assert join.event_time_ms == 100


def test_idle_time_is_restored_at_next() -> None:
    policy = Policy(window_ms=10, deduplication_ms=1000)
    before = new_join(policy)
    read(seen("i", 100), join=before)
    before.advance(500)
    after = new_join(policy, start=before.progress)
    after.advance(900)  # nothing moves before everything is read again
    assert after.event_time_ms == BEGINNING_OF_TIME_MS
    after.feed(0, 1, records_of(seen("i", 100)))
    assert after.event_time_ms == 500
    assert new_join(start=Progress(1, 500, 1, 100)).event_time_ms == 500  # and at once where nothing is read again


@pytest.mark.parametrize("policy", [Policy(10, 10, max_waiting=2), Policy(10, 10, max_waiting_bytes=400)])
def test_past_a_bound_the_oldest_is_decided_early_and_counted(policy: Policy) -> None:
    join = new_join(policy)
    assert ids(read(seen("i", 100), seen("j", 100), clicked("a", "i", 101), join=join)) == []
    decisions = read(seen("k", 101), join=join)
    assert actions(decisions) == {"i": Action.CLICK}
    assert decisions.counts["impression", "early"] == 1
    assert join.waiting == 2
    assert ids(read(beat(111), join=join)) == ["j", "k"]


def test_one_impression_past_the_bytes_is_decided_at_once() -> None:
    join = new_join(Policy(10, 10, max_waiting_bytes=1000))
    assert ids(read(seen("i", 100, text="t" * 1000), join=join)) == ["i"]
    assert join.waiting == 0


def test_what_is_read_but_not_acknowledged_is_bounded() -> None:
    bound = 40
    join = new_join(Policy(10, 10, max_remembered=bound))
    early = 0
    for number in range(200):  # event time stands still: nothing ever closes by itself
        decisions = read(clicked(f"a{number}", "x", 100), seen(f"i{number}", 100), join=join)
        early += decisions.counts["impression", "early"]
        assert join.position - join.progress.acknowledged <= bound + 2
        assert join.progress.acknowledged <= join.progress.next
    assert early + join.waiting == 200
    assert join.waiting <= bound // 2


def test_an_action_gives_its_second_correction_before_it_goes_out_of_reach() -> None:
    join = new_join(Policy(10, 10, max_remembered=8))
    read(clicked("a", "x", 100), beat(100), beat(100), beat(100), join=join)
    decisions = read(beat(100), join=join)
    assert decisions.corrections == [Correction("x", Action.CLICK)]
    assert decisions.counts["action", "early"] == 1


def test_the_memory_of_ids_is_bounded() -> None:
    join = new_join(Policy(10, 10, max_remembered=1000))
    for start in range(0, 20_000, 1000):
        read(*(clicked(f"a{number}", "x", 100) for number in range(start, start + 1000)), join=join)
        assert len(join._ids) <= 1000
    assert read(clicked("a19999", "x", 100), join=join).counts["click", "duplicate"] == 1


def test_ids_past_the_horizon_are_dropped() -> None:
    join = new_join()
    for number in range(20_000):
        read(clicked(f"a{number}", "x", 100 + number), join=join)
    assert len(join._ids) < 3000


@pytest.mark.parametrize("field", sorted({*Policy.__struct_fields__} - {"fields", "late_letters"}))
def test_a_policy_of_nothing_is_refused(field: str) -> None:
    with pytest.raises(InvalidInput, match=f"{field} is 0; it must be at least 1"):
        Policy(**{"window_ms": 10, "deduplication_ms": 10, field: 0})


def test_a_replay_gives_samples_as_decided_and_what_corrections_made_of_them() -> None:
    values = [
        seen("i", 100),
        clicked("a", "i", 101, "purchase"),
        beat(110),
        clicked("b", "i", 120, "return"),
        clicked("c", "i", 121, "rating"),
        seen("open", 125),
        None,
    ]
    replayed = replay_partition(records_of(*values, first=7), POLICY, partition=2)
    assert [(sample.id, sample.partition, sample.offset, sample.actions) for sample in replayed.samples] == [
        ("i", 2, 7, Action.PURCHASE)
    ]
    assert replayed.actions == {"i": Action.PURCHASE | Action.RETURN | Action.RATING}
    assert replayed.ratings == {"i": Rating(121, "c", 4.0)}
    assert [dead.offset for dead in replayed.dead] == [13]
    assert replayed.progress.next == 12
    assert set(replay_partition(records_of(*values), POLICY, until_ms=135).actions) == {"i", "open"}


def test_a_replay_of_nothing_is_nothing() -> None:
    assert replay_partition([], POLICY).samples == []


YEAR_3000_MS = 32_503_680_000_000
WALL_MS = 1_800_000_000_000  # a multiple of the guard's step


def read_at(wall_ms: int, *values: Value, join: Join, backfill: tuple[int, ...] = ()) -> Decisions:
    first = join.position
    rows = [(offset, YEAR_3000_MS, value) for offset, value in enumerate(values, first)]
    return join.feed(first, first + len(values), rows, wall_ms, backfill)


def test_a_record_past_the_wall_clock_is_a_dead_letter_and_moves_nothing() -> None:
    join = new_join()
    decisions = read_at(WALL_MS, seen("i", WALL_MS), seen("x", YEAR_3000_MS), beat(YEAR_3000_MS), join=join)
    assert [(dead.offset, dead.reason) for dead in decisions.dead] == [
        (1, "time_ahead_of_clock"),
        (2, "time_ahead_of_clock"),
    ]
    assert (join.event_time_ms, join.waiting) == (WALL_MS, 1)
    assert ids(read_at(WALL_MS, seen("j", WALL_MS + 10), join=join)) == ["i"]


def test_event_time_goes_five_minutes_past_the_wall_clock_and_no_further() -> None:
    join = new_join()
    ahead_ms = WALL_MS + 5 * 60_000
    decisions = read_at(WALL_MS, beat(ahead_ms), beat(ahead_ms + 1), join=join)
    assert ([dead.offset for dead in decisions.dead], join.event_time_ms) == ([1], ahead_ms)
    assert read_at(WALL_MS + 10_000, beat(ahead_ms + 1), join=join).dead == []


def test_reading_again_by_a_later_clock_comes_to_the_same() -> None:
    join = new_join()
    values = [seen("i", WALL_MS), seen("x", WALL_MS + 3_300_000), seen("j", WALL_MS + 1)]
    read_at(WALL_MS, *values, join=join)
    again = new_join(start=join.progress)
    assert again.position == 0
    decisions = read_at(WALL_MS + 7_200_000, *values, beat(WALL_MS + 12), join=again)
    assert (ids(decisions), decisions.dead) == (["i", "j"], [])  # the letter of x was sent the first time


def test_a_late_impression_is_a_dead_letter_with_what_answers_it() -> None:
    join = new_join()
    decisions = read(beat(200), seen("i", 150), clicked("a", "i", 199), clicked("b", "other", 199), join=join)
    assert [(dead.offset, dead.reason) for dead in decisions.dead] == [(1, "late"), (2, "late")]
    assert [(late.own_ms, late.event_time_ms) for late in decisions.late] == [(150, 200)]
    assert (decisions.counts["impression", "late"], decisions.counts["click", "late"]) == (1, 1)
    assert decisions.counts["click", "accepted"] == 1
    assert {correction.sample_id for correction in decisions.corrections} == {"i", "other"}


def test_late_impressions_are_only_counted_where_the_policy_says_so() -> None:
    join = new_join(Policy(window_ms=10, deduplication_ms=10, late_letters=False))
    decisions = read(beat(200), seen("i", 150), clicked("a", "i", 199), join=join)
    assert (decisions.dead, len(decisions.late)) == ([], 1)
    assert decisions.counts["click", "accepted"] == 1


def test_backfill_is_never_late_and_waits_a_window_for_what_is_sent_with_it() -> None:
    join = new_join()
    read(beat(200), seen("i", 150), clicked("a", "i", 151), join=join)
    again = [seen("i", 150), clicked("a", "i", 151), seen("i", 150)]
    decisions = join.feed(3, 6, records_of(*again, first=3), backfill={3, 4, 5})
    assert (decisions.dead, decisions.counts["impression", "duplicate"]) == ([], 1)
    assert ids(read(beat(209), join=join)) == []
    (sample,) = read(beat(210), join=join).samples
    assert (sample.id, sample.time_ms, sample.actions) == ("i", 150, Action.CLICK)


def test_a_late_repeat_does_not_take_the_actions_of_the_impression_that_waits() -> None:
    join = new_join(Policy(window_ms=100, deduplication_ms=10))
    decisions = read(seen("i", 100), beat(150), seen("i", 100), clicked("a", "i", 150), beat(200), join=join)
    assert actions(decisions) == {"i": Action.CLICK}
