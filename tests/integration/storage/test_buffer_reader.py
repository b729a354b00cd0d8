"""A draw is one snapshot, gives the holdout only by name, and carries what makes a weight."""

from collections.abc import Callable
from math import exp, inf, log

import numpy as np
import pytest
import sqlalchemy as sa

from importance.errors import NotFound
from importance.sample import Action, Correction, Outcome
from importance.strata import HOLDOUT, NEGATIVE, POSITIVE, STRATA, UNIFORM
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.engine import transaction
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer


@pytest.fixture
def owner(engine: sa.Engine) -> Owner:
    return Owner(engine, Buffer(engine, CAPACITIES, TOPIC))


def test_an_empty_buffer_gives_an_empty_draw(engine: sa.Engine, owner: Owner) -> None:
    drawn = BufferReader(engine).draw()
    assert (len(drawn), drawn.watermark, drawn.probability.shape, drawn.ids) == (0, 0, (0,), [])


def test_the_holdout_is_drawn_only_by_name(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer(name, 1.0, name) for name in STRATA])
    assert BufferReader(engine).draw().stratum == [NEGATIVE, POSITIVE, UNIFORM]
    assert BufferReader(engine).draw([HOLDOUT]).ids == [HOLDOUT]
    assert BufferReader(engine).draw([UNIFORM, POSITIVE]).ids == [POSITIVE, UNIFORM]


def test_columns_belong_together_in_the_order_of_ids(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer(name, key, text=f"text of {name}", time_ms=7) for key, name in enumerate("bca")])
    owner.flush(corrections=[Correction("b", int(Action.PURCHASE))])
    drawn = BufferReader(engine).draw()
    assert drawn.ids == ["a", "b", "c"]
    assert drawn.text == ["text of a", "text of b", "text of c"]
    assert drawn.label.tolist() == [0, 1, 0]
    assert drawn.outcome == [Outcome.NONE, Outcome.PURCHASE, Outcome.NONE]
    assert drawn.time_ms.tolist() == [7, 7, 7]
    assert drawn.importance.tolist() == [0.5, 0.5, 0.5]
    assert (drawn.query, drawn.item, drawn.subject, drawn.surface) == (
        ["lamp"] * 3, ["item-1"] * 3, ["someone"] * 3, ["search"] * 3
    )  # fmt: skip


def test_a_missing_prediction_is_nan(engine: sa.Engine, owner: Owner) -> None:
    import msgspec

    owner.flush([offer("a", 1.0), msgspec.structs.replace(offer("b", 2.0), prediction=None)])
    np.testing.assert_array_equal(BufferReader(engine).draw().prediction, [0.25, np.nan])


def test_probability_is_that_of_priority_sampling(engine: sa.Engine, owner: Owner) -> None:
    weights = {"a": -3.0, "b": -1.0, "c": 0.5}
    owner.flush([offer(name, 10.0, log_weight=weight) for name, weight in weights.items()] + [offer("low", 0.25)])
    drawn = BufferReader(engine).draw()
    np.testing.assert_allclose(drawn.probability, [exp(-3.25), exp(-1.25), 1.0], rtol=1e-15)
    for name, probability in zip(drawn.ids, drawn.probability.tolist(), strict=True):
        assert BufferReader(engine).explain(name).probability == pytest.approx(probability, rel=1e-15)


def test_an_earlier_draw_limits_the_probability(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.0)])
    with transaction(engine) as connection:
        connection.execute(sa.text("UPDATE buffer_keys SET m = :m"), {"m": log(0.125)})
    assert BufferReader(engine).draw().probability.tolist() == pytest.approx([0.125], rel=1e-15)
    assert BufferReader(engine).explain("a").probability == pytest.approx(0.125, rel=1e-15)


def test_fresh_is_what_was_stored_after_the_last_cut(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.0), offer("b", 2.0)])
    first = BufferReader(engine).draw()
    assert first.watermark == max(first.stored)
    owner.flush([offer("c", 3.0), offer("held out", 3.0, HOLDOUT)])
    fresh = BufferReader(engine).draw(newer_than=first.watermark)
    assert fresh.ids == ["c"]
    assert len(BufferReader(engine).draw(newer_than=fresh.watermark)) == 0


def test_a_draw_does_not_see_a_trim_that_comes_while_it_reads(
    engine: sa.Engine, owner: Owner, connect: Callable[[], sa.Engine]
) -> None:
    owner.flush([offer(f"i{n}", float(n), log_weight=-1.0) for n in range(3)])
    read: list[float] = []
    reader = connect()

    @sa.event.listens_for(reader, "after_cursor_execute")
    def between_its_two_queries(*_: object) -> None:
        if not read:
            read.append(1.0)
            owner.flush([offer("high", 10.0)])

    drawn = BufferReader(reader).draw()
    assert drawn.ids == ["i0", "i1", "i2"]
    assert drawn.probability.tolist() == [1.0, 1.0, 1.0]
    assert BufferReader(engine).draw().ids == ["high", "i1", "i2"]


def test_rows_that_may_train_are_counted_as_far_as_is_asked(engine: sa.Engine, owner: Owner) -> None:
    assert BufferReader(engine).trainable(at_most=9) == 0
    # κ = 10: i0 is not readable any more
    owner.flush([offer(f"i{n}", 10.0 + n) for n in range(4)] + [offer("p", 1.0, POSITIVE), offer("h", 1.0, HOLDOUT)])
    assert [BufferReader(engine).trainable(at_most=most) for most in (3, 4, 9)] == [3, 4, 4]


def test_stats_tell_places_rows_threshold_and_worth(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer(f"i{n}", 10.0 + n, log_weight=9.0 - 2 * n) for n in range(4)] + [offer("p", 1.0, POSITIVE)])
    stats = BufferReader(engine).stats()
    assert (stats.capacity, stats.items) == (10, 4)
    assert [stratum.name for stratum in stats.strata] == list(STRATA)
    holdout, _, positive, negative = stats.strata
    assert (holdout.items, holdout.threshold, holdout.effective_sample_size) == (0, -inf, 0.0)
    assert (positive.items, positive.threshold, positive.effective_sample_size) == (1, -inf, 1.0)
    weights = np.exp([10.0 - 7, 10.0 - 5, 10.0 - 3])  # κ = 10: the key of i0; ℓ of i1, i2, i3
    assert (negative.capacity, negative.items, negative.threshold) == (3, 3, 10.0)
    assert negative.effective_sample_size == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    every = np.append(weights, 1.0)
    assert stats.effective_sample_size == pytest.approx(every.sum() ** 2 / (every**2).sum())


def test_a_sample_is_explained(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.5, POSITIVE, log_weight=0.5)])
    found = BufferReader(engine).explain("a")
    assert (found.sample.id, found.label, found.outcome) == ("a", 1, Outcome.CLICK)
    assert (found.importance, found.estimator, found.model, found.prediction) == (0.5, "uniform", "v1", 0.25)
    assert (found.stratum, found.key, found.log_weight, found.threshold) == (POSITIVE, 1.5, 0.5, -inf)
    assert (found.probability, found.in_buffer) == (1.0, True)


def test_a_sample_that_is_not_there_is_not_found(engine: sa.Engine, owner: Owner) -> None:
    with pytest.raises(NotFound, match="'nobody'"):
        BufferReader(engine).explain("nobody")
