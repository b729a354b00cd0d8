"""The tracker's laws: what may be committed, whatever the order of acknowledgements."""

from collections.abc import Callable

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream.offset_tracker import Chunk, OffsetTracker

TP_0 = TP("interactions", 0)

sizes = st.lists(st.integers(1, 5), min_size=1, max_size=8)


def nothing() -> None:
    """No one waits for room here."""


def tracker_with(
    lengths: list[int], start: int = 100, on_capacity: Callable[[], None] = nothing
) -> tuple[OffsetTracker, list[Chunk]]:
    tracker = OffsetTracker(TP_0, generation=7, start=start, on_capacity=on_capacity)
    chunks, offset = [], start
    for length in lengths:
        chunks.append(tracker.add(offset, offset + length, [object()] * length))
        offset += length
    return tracker, chunks


@given(sizes, st.randoms(use_true_random=False))
def test_committable_is_the_end_of_the_acknowledged_prefix_in_any_order(lengths: list[int], random) -> None:
    tracker, chunks = tracker_with(lengths)
    order = chunks[:]
    random.shuffle(order)
    acknowledged: set[int] = set()
    for chunk in order:
        assert chunk.acknowledge()
        acknowledged.add(chunk.first)
        expected = 100
        for candidate in chunks:
            if candidate.first not in acknowledged:
                break
            expected = candidate.end
        assert tracker.committable == expected
    assert tracker.committable == tracker.end


@given(sizes, st.data())
def test_a_repeated_acknowledgement_changes_nothing(lengths: list[int], data: st.DataObject) -> None:
    tracker, chunks = tracker_with(lengths)
    for chunk in data.draw(st.lists(st.sampled_from(chunks))):
        before = (tracker.committable, chunk.acknowledged)
        counted = chunk.acknowledge()
        assert counted is not before[1]
        if not counted:
            assert tracker.committable == before[0]


@given(sizes, st.data())
def test_an_acknowledgement_of_a_lost_generation_counts_for_nothing(lengths: list[int], data: st.DataObject) -> None:
    tracker, chunks = tracker_with(lengths)
    early = data.draw(st.sets(st.sampled_from(chunks)))
    for chunk in early:
        chunk.acknowledge()
    before = tracker.committable
    tracker.drop()
    late = [chunk for chunk in chunks if chunk not in early]
    assert not any(chunk.acknowledge() for chunk in chunks)
    assert (tracker.committable, tracker.late_acknowledgements) == (before, len(chunks))
    assert not any(chunk.live for chunk in late)


def test_holes_between_chunks_are_committed_over() -> None:
    tracker = OffsetTracker(TP_0, generation=1, start=0, on_capacity=nothing)
    first, second = tracker.add(0, 3, [object()] * 3), tracker.add(9, 12, [object()] * 3)
    first.acknowledge()
    assert tracker.committable == 3
    second.acknowledge()
    assert tracker.committable == 12


def test_a_partition_of_which_nothing_was_committed_has_nothing_to_commit() -> None:
    tracker, (chunk,) = tracker_with([4], start=0)
    assert tracker.committable == 0
    assert not tracker.pending
    chunk.acknowledge()
    assert tracker.pending
    assert tracker.committable == 4


def test_nothing_is_pending_once_the_prefix_is_committed() -> None:
    tracker, (chunk,) = tracker_with([2])
    assert not tracker.pending
    chunk.acknowledge()
    assert tracker.pending
    tracker.committed = tracker.committable
    assert not tracker.pending


def test_releasing_drops_the_records_makes_room_once_and_keeps_the_count() -> None:
    calls: list[str] = []
    tracker, chunks = tracker_with([3, 2], on_capacity=lambda: calls.append("room"))
    assert tracker.undecoded_records == 5
    chunks[0].release()
    chunks[0].release()
    assert (tracker.undecoded_records, calls) == (2, ["room"])
    assert (len(chunks[0].records), chunks[0].count) == (0, 3)


def test_what_is_held_is_counted_in_bytes_until_it_is_released() -> None:
    tracker = OffsetTracker(TP_0, generation=1, start=0, on_capacity=nothing)
    first, second = tracker.add(0, 1, [object()], 900_000), tracker.add(1, 2, [object()], 300)
    assert tracker.undecoded_bytes == 900_300
    first.release()
    second.release()
    assert tracker.undecoded_bytes == 0


def test_a_chunk_knows_its_place() -> None:
    _, (chunk,) = tracker_with([3])
    assert (chunk.partition, chunk.generation, chunk.first, chunk.end) == (0, 7, 100, 103)
