"""Rankings that wait: collected, bounded, dropped when late or left."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from threading import Event
from weakref import ref

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from importance.errors import Unavailable
from importance.sample import Pair
from importance.scores import Predictions
from monitoring.rank_metrics import RankMetrics
from weir.api.rankings import Rankings, TooMany


class Model:
    """Predicts the length of each text, a pass at a time as it is let go; keeps what each pass had."""

    def __init__(self) -> None:
        self.started, self.let_go = Event(), Event()
        self.passes: list[int] = []
        self.fault: Exception | None = None

    def predict(self, pairs: Sequence[Pair]) -> tuple[Predictions, int]:
        self.passes.append(len(pairs))
        self.started.set()
        assert self.let_go.wait(30)
        if self.fault is not None:
            raise self.fault
        return Predictions("v1", np.array([float(len(text)) for text, _ in pairs])), 0


class Pairs(list[Pair]):
    """Pairs that a test can watch."""


class World:
    """A model that is busy with a ranking of one item, and what waits for it."""

    def __init__(self) -> None:
        self.model, self.now, self.registry = Model(), 0.0, CollectorRegistry()
        self.rankings = Rankings(
            self.model.predict, RankMetrics(self.registry), max_items=10, pass_items=4, deadline_seconds=2.0,
            clock=lambda: self.now,
        )  # fmt: skip
        self.first = self.submit(1)
        assert self.model.started.wait(30)

    def submit(self, items: int, length: int = 1) -> "Future[Predictions]":
        return self.rankings.submit([("x" * length, "query")] * items)

    def finish(self) -> None:
        self.model.let_go.set()
        self.rankings.close()

    def dropped(self, reason: str) -> float | None:
        return self.registry.get_sample_value("weir_rank_dropped_total", {"reason": reason})


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.finish()


def test_what_waits_is_predicted_together_up_to_a_pass_and_each_gets_its_own(world: World) -> None:
    answers = [world.submit(items, length) for items, length in ((1, 5), (2, 6), (2, 7), (1, 8))]
    world.finish()
    assert world.model.passes == [1, 3, 3]
    assert [answer.result().values.tolist() for answer in answers] == [[5], [6, 6], [7, 7], [8]]


def test_a_ranking_longer_than_a_pass_has_one_to_itself(world: World) -> None:
    long, short = world.submit(7), world.submit(1)
    world.finish()
    assert world.model.passes == [1, 7, 1]
    assert (len(long.result().values), len(short.result().values)) == (7, 1)


def test_what_exceeds_the_bound_is_refused_until_something_is_answered(world: World) -> None:
    world.submit(8)
    with pytest.raises(TooMany, match=r"10 items wait to be ranked.*WEIR_RANK_QUEUE_ITEMS"):
        world.submit(2)
    last = world.submit(1)
    world.model.let_go.set()
    assert last.result(30).version == "v1"
    assert len(world.submit(10).result(30).values) == 10
    assert world.dropped("full") == 1


def test_a_ranking_that_is_late_or_left_costs_no_prediction(world: World) -> None:
    left, late = world.submit(3), world.submit(3)
    assert left.cancel()
    world.submit(3)  # there is room again
    world.now = 2.0
    current = world.submit(1)
    world.finish()
    assert world.model.passes == [1, 1]
    with pytest.raises(Unavailable, match=r"waited 2\.0 s, and its deadline is 2 s"):
        late.result()
    assert len(current.result().values) == 1
    assert (world.dropped("gone"), world.dropped("late")) == (1, 2)


def test_nothing_is_kept_of_rankings_whose_clients_left(world: World) -> None:
    left = [Pairs([("x", "query")] * 9) for _ in range(50)]
    watched = [ref(pairs) for pairs in left]
    while left:
        assert world.rankings.submit(left.pop()).cancel()
    assert not any(pairs() for pairs in watched)
    assert world.dropped("gone") == 50


def test_what_is_looked_up_for_a_ranking_counts_as_waiting(world: World) -> None:
    with world.rankings.counted(8), pytest.raises(TooMany, match="10 items wait"):
        world.submit(2)
    with pytest.raises(TooMany), world.rankings.counted(10):
        raise AssertionError("1 is predicted: 10 more are too many")
    world.submit(9)


def test_a_fault_of_the_model_is_each_rankings_and_the_next_pass_is_computed(world: World) -> None:
    world.model.fault = Unavailable("no model is served yet")
    second = world.submit(1)
    world.model.let_go.set()
    for answer in (world.first, second):
        with pytest.raises(Unavailable, match="no model"):
            answer.result(30)
    world.model.fault = None
    assert world.submit(1).result(30).version == "v1"
