"""Late actions reach the stored sample, whatever their order and repetition; the draw's facts stay."""

from itertools import permutations

import pytest
import sqlalchemy as sa

from importance.sample import Action, Correction, Outcome, Rating
from importance.strata import NEGATIVE, POSITIVE
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer, rows

LATE = [
    Correction("a", int(Action.PURCHASE)),
    Correction("a", int(Action.RATING), Rating(5, "r1", 2.0)),
    Correction("a", int(Action.RATING), Rating(5, "r2", 1.0)),
    Correction("a", int(Action.RATING), Rating(4, "r3", 5.0)),
]


@pytest.fixture
def owner(engine: sa.Engine) -> Owner:
    return Owner(engine, Buffer(engine, CAPACITIES, TOPIC))


def test_a_late_action_corrects_label_and_outcome_and_nothing_else(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.0)])
    before = BufferReader(engine).explain("a")
    owner.flush(corrections=[Correction("a", int(Action.ADD_TO_CART))])
    after = BufferReader(engine).explain("a")
    assert (before.label, before.outcome, after.label, after.outcome) == (0, Outcome.NONE, 1, Outcome.ADD_TO_CART)
    assert (after.stratum, after.key, after.log_weight) == (NEGATIVE, 1.0, before.log_weight)


def test_a_late_return_takes_a_purchase_back(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.0, POSITIVE, actions=Action.PURCHASE)])
    owner.flush(corrections=[Correction("a", int(Action.RETURN))])
    found = BufferReader(engine).explain("a")
    assert (found.label, found.outcome, found.stratum) == (0, Outcome.RETURN, POSITIVE)


def test_a_correction_finds_the_sample_of_its_own_flush(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.0)], [Correction("a", int(Action.CLICK))])
    assert BufferReader(engine).explain("a").label == 1


def test_a_correction_of_what_is_not_there_changes_nothing(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.0)], [Correction("b", int(Action.CLICK))])
    assert BufferReader(engine).explain("a").label == 0


@pytest.mark.parametrize("together", [True, False])
def test_the_order_of_late_actions_does_not_matter(engine: sa.Engine, owner: Owner, together: bool) -> None:
    for number, order in enumerate(permutations(LATE)):
        owner.buffer = Buffer(engine, dict.fromkeys(CAPACITIES, 100), TOPIC)
        named = [Correction(f"a{number}", late.actions, late.rating) for late in order]
        owner.flush([offer(f"a{number}", 1.0)])
        for flushed in [named, named] if together else [[late] for late in named]:
            owner.flush(corrections=flushed)
    found = set(rows(engine, "SELECT actions, label, rating_time_ms, rating_id, rating_value FROM buffer_samples"))
    assert found == {(Action.PURCHASE | Action.RATING, 1, 5, "r2", 1.0)}


def test_a_repeated_correction_writes_no_row(engine: sa.Engine, owner: Owner) -> None:
    owner.flush([offer("a", 1.0)], LATE)
    before = rows(engine, "SELECT ctid, xmin FROM buffer_samples")
    owner.flush(corrections=LATE)
    assert rows(engine, "SELECT ctid, xmin FROM buffer_samples") == before


def test_the_label_follows_the_rule_that_is_set(engine: sa.Engine) -> None:
    strict = Buffer(engine, CAPACITIES, TOPIC, positive_from=Outcome.PURCHASE)
    owner = Owner(engine, strict)
    owner.flush([offer("a", 1.0), offer("b", 2.0)])
    owner.flush(corrections=[Correction("a", int(Action.CLICK)), Correction("b", int(Action.PURCHASE))])
    assert (BufferReader(engine).explain("a").label, BufferReader(engine).explain("b").label) == (0, 1)
