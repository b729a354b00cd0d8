"""The worker on a real broker: what is decided, what is committed, and what survives."""

from tests.integration.stream.harness import CLOSED_MS, SHOWN_MS, Place, Store, click, heartbeat, impression, running


async def test_what_is_sent_is_joined_scored_published_and_remembered_in_order(place: Place, store: Store) -> None:
    place.send([impression(n, SHOWN_MS + n) for n in range(50)] + [click(7, SHOWN_MS + 100), heartbeat(CLOSED_MS)])
    async with running(place, store) as worker:
        await worker.until(lambda: store.decided == 50)
        assert await worker.end() == 0
    assert store.ids() == [f"view-{n}" for n in range(50)]
    assert [sample.id for sample in store.samples[0] if sample.actions] == ["view-7"]
    assert {record.key for record in place.read(place.topics.importance)} == {f"view-{n}".encode() for n in range(50)}
    assert set(store.scored.values()) == {1}
