"""The ledger's laws: what may be committed, whatever the order of acknowledgements."""

from collections.abc import Callable

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from stream.ledger import Chunk, Ledger

TP_0 = TP("interactions", 0)

sizes = st.lists(st.integers(1, 5), min_size=1, max_size=8)


def nothing() -> None:
    """No one waits for room here."""


def ledger_with(
    lengths: list[int], start: int = 100, on_room: Callable[[], None] = nothing
) -> tuple[Ledger, list[Chunk]]:
    ledger = Ledger(TP_0, generation=7, start=start, on_room=on_room)
    chunks, offset = [], start
    for length in lengths:
        chunks.append(ledger.add(offset, offset + length, [object()] * length))
        offset += length
    return ledger, chunks


@given(sizes, st.randoms(use_true_random=False))
def test_committable_is_the_end_of_the_acknowledged_prefix_in_any_order(lengths: list[int], random) -> None:
    ledger, chunks = ledger_with(lengths)
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
        assert ledger.committable == expected
    assert ledger.committable == ledger.end


@given(sizes, st.data())
def test_a_repeated_acknowledgement_changes_nothing(lengths: list[int], data: st.DataObject) -> None:
    ledger, chunks = ledger_with(lengths)
    for chunk in data.draw(st.lists(st.sampled_from(chunks))):
        before = (ledger.committable, chunk.acknowledged)
        counted = chunk.acknowledge()
        assert counted is not before[1]
        if not counted:
            assert ledger.committable == before[0]


@given(sizes, st.data())
def test_an_acknowledgement_of_a_lost_generation_counts_for_nothing(lengths: list[int], data: st.DataObject) -> None:
    ledger, chunks = ledger_with(lengths)
    early = data.draw(st.sets(st.sampled_from(chunks)))
    for chunk in early:
        chunk.acknowledge()
    before = ledger.committable
    ledger.drop()
    late = [chunk for chunk in chunks if chunk not in early]
    assert not any(chunk.acknowledge() for chunk in chunks)
    assert (ledger.committable, ledger.late) == (before, len(chunks))
    assert not any(chunk.live for chunk in late)


def test_holes_between_chunks_are_committed_over() -> None:
    ledger = Ledger(TP_0, generation=1, start=0, on_room=nothing)
    first, second = ledger.add(0, 3, [object()] * 3), ledger.add(9, 12, [object()] * 3)
    first.acknowledge()
    assert ledger.committable == 3
    second.acknowledge()
    assert ledger.committable == 12


def test_a_partition_of_which_nothing_was_committed_has_nothing_to_commit() -> None:
    ledger, (chunk,) = ledger_with([4], start=0)
    assert ledger.committable == 0
    assert not ledger.pending
    chunk.acknowledge()
    assert ledger.pending
    assert ledger.committable == 4


def test_nothing_is_pending_once_the_prefix_is_committed() -> None:
    ledger, (chunk,) = ledger_with([2])
    assert not ledger.pending
    chunk.acknowledge()
    assert ledger.pending
    ledger.committed = ledger.committable
    assert not ledger.pending


def test_releasing_drops_the_records_makes_room_once_and_keeps_the_count() -> None:
    calls: list[str] = []
    ledger, chunks = ledger_with([3, 2], on_room=lambda: calls.append("room"))
    assert ledger.undecoded_records == 5
    chunks[0].release()
    chunks[0].release()
    assert (ledger.undecoded_records, calls) == (2, ["room"])
    assert (len(chunks[0].records), chunks[0].count) == (0, 3)


def test_what_is_held_is_counted_in_bytes_until_it_is_released() -> None:
    ledger = Ledger(TP_0, generation=1, start=0, on_room=nothing)
    first, second = ledger.add(0, 1, [object()], 900_000), ledger.add(1, 2, [object()], 300)
    assert ledger.undecoded_bytes == 900_300
    first.release()
    second.release()
    assert ledger.undecoded_bytes == 0


def test_a_chunk_knows_its_place() -> None:
    _, (chunk,) = ledger_with([3])
    assert (chunk.partition, chunk.generation, chunk.first, chunk.end) == (0, 7, 100, 103)
