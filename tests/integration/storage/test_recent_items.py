"""What subjects had to do with last: the newest of each, once, whatever the order in which flushes come."""

from collections import defaultdict
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importance.sample import Action, Sample
from importance.scores import Offer
from storage.buffer import Buffer
from storage.recent_items import RecentItems, RecentLimits
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer

EVENTS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 5), st.booleans()), max_size=30)


def offers(events: Sequence[tuple[str, int, bool]]) -> list[Offer]:
    """A sample for each, an hour apart; the buffer keeps none of them."""
    return [
        offer(
            f"s{at}", 0.0, subject=subject, item=f"item {item}", text=f"text {item}", time_ms=at, kept=False,
            actions=Action.CLICK if positive else Action.NONE,
        )
        for at, (subject, item, positive) in enumerate(events)
    ]  # fmt: skip


def newest(events: Sequence[tuple[str, int, bool]], count: int) -> dict[str, list[str]]:
    """The last items of each subject with a positive outcome, oldest first."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for subject, item, positive in events:
        if positive:
            found[subject].pop(f"text {item}", None)
            found[subject][f"text {item}"] = None
    return {subject: list(texts)[-count:] for subject, texts in found.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, st.integers(1, 4), st.integers(1, 7), st.randoms())
def test_the_newest_items_of_each_subject_are_kept_whatever_the_order(
    engine: sa.Engine, events: list[tuple[str, int, bool]], count: int, size: int, random: object
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE recent_items, progress"))
    recent = RecentItems(RecentLimits(count))
    shuffled = offers(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # the random generator that Hypothesis draws
    owner = Owner(engine, Buffer(engine, CAPACITIES, TOPIC, recent_items=recent))
    for start in range(0, len(shuffled), size):
        owner.flush(shuffled[start : start + size])
    expected = newest(events, count)
    assert {subject: recent.of(engine, subject) for subject in "ab"} == {s: expected.get(s, []) for s in "ab"}


def test_rows_are_bounded_over_all_subjects_and_the_oldest_go(engine: sa.Engine) -> None:
    recent = RecentItems(RecentLimits(1, max_rows=40))
    with engine.begin() as connection:
        for at in range(100):
            recent.add(connection, [Sample("i", f"subject {at}", "ad", "", "8", "lamp", at, 0, 0)])
        times = connection.scalars(sa.text("SELECT time_ms FROM recent_items")).all()
    assert 40 <= len(times) <= 42
    assert min(times) >= 58


def test_a_trim_waits_for_no_row_that_another_worker_has_written(engine: sa.Engine) -> None:
    """Else two partitions with the same subjects could wait for each other."""

    def last(item: str, time_ms: int) -> list[Sample]:
        return [Sample("i", "ann", "ad", "", item, item, time_ms, 0, 0)]

    one, other = (RecentItems(RecentLimits(1, max_rows=1)) for _ in range(2))
    with engine.begin() as connection:
        one.add(connection, last("lamp", 1))
    with engine.begin() as writing, engine.begin() as adding:
        one.add(writing, last("lamp", 2))
        adding.execute(sa.text("SET LOCAL lock_timeout = '100ms'"))
        other.add(adding, last("mug", 3) + last("cup", 4))
    assert one.of(engine, "ann") == ["cup"]
    with engine.begin() as connection:
        one.add(connection, last("vase", 5))
        assert connection.scalar(sa.text("SELECT count(*) FROM recent_items")) == 1


def test_a_bound_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(Exception, match="keeps nothing"):
        RecentLimits(0)
