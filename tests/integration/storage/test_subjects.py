"""No subject holds more rows of a stratum than its bound, whoever writes and whatever ends on the way."""

from collections.abc import Callable, Sequence
from math import exp

import pytest
import sqlalchemy as sa

from importance.reservoir import AdmissionPolicy
from importance.sample import Sample
from importance.scores import Offer, Scores
from importance.strata import NEGATIVE, STRATA, StrataPolicy
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.lock import Right, try_for
from storage.rescoring import Rescoring
from tests.support.storage import TOPIC, WORKER, Owner, held, offer, rows

PLACES = dict.fromkeys(STRATA, 10)
BOUND = dict.fromkeys(STRATA, 2)


def bounded(engine: sa.Engine, most: dict[str, int] | None = None) -> Buffer:
    return Buffer(engine, PLACES, TOPIC, subject_capacities=BOUND if most is None else most)


def loud(first: int, count: int) -> list[Offer]:
    return [offer(f"bot-{n}", float(n), subject="bot") for n in range(first, first + count)]


def quiet(count: int) -> list[Offer]:
    return [offer(f"quiet-{n}", 0.5 + n / 10, subject=f"s{n}") for n in range(count)]


def stored_by_subject(engine: sa.Engine) -> dict[tuple[str, str], float]:
    found = rows(engine, "SELECT stratum, subject, threshold FROM buffer_subjects")
    return {(str(stratum), str(subject)): float(str(threshold)) for stratum, subject, threshold in found}


def test_a_subject_holds_its_largest_keys_and_p_knows_of_the_bound(engine: sa.Engine) -> None:
    owner = Owner(engine, bounded(engine))
    owner.flush([*loud(0, 6), *quiet(3)])
    assert set(held(engine)) == {"bot-5", "bot-4", "quiet-0", "quiet-1", "quiet-2"}
    assert owner.buffer.thresholds().subjects == {(NEGATIVE, "bot"): 3.0}
    drawn = dict(zip((draw := BufferReader(engine).draw()).ids, draw.probability.tolist(), strict=True))
    assert drawn["bot-5"] == pytest.approx(exp(-3.0))
    assert drawn["quiet-0"] == 1.0
    (negative,) = (each for each in BufferReader(engine).stats().strata if each.name == NEGATIVE)
    assert (negative.items, negative.subject_capacity, negative.largest_subject_share) == (5, 2, 0.4)


def test_two_workers_come_to_one_bound(engine: sa.Engine, connect: Callable[[], sa.Engine]) -> None:
    one, other = Owner(engine, bounded(engine)), Owner(connect(), bounded(connect()), partition=1)
    for number in range(6):
        (one, other)[number % 2].flush(loud(number, 1))
    assert set(held(engine)) == {"bot-5", "bot-4"}


def test_a_threshold_at_or_below_its_stratum_s_is_dropped(engine: sa.Engine) -> None:
    owner = Owner(engine, bounded(engine))
    owner.flush(loud(0, 4))
    assert stored_by_subject(engine) == {(NEGATIVE, "bot"): 1.0}
    owner.flush([offer(f"late-{n}", 20.0 + n, subject=f"s{n}") for n in range(10)])
    assert owner.buffer.thresholds()[NEGATIVE].kappa == 3.0
    assert stored_by_subject(engine) == {}


def test_a_smaller_share_takes_effect_at_the_next_start_and_a_larger_one_keeps_the_threshold(engine: sa.Engine) -> None:
    owner = Owner(engine, bounded(engine))
    owner.flush(loud(0, 6))
    owner.buffer = bounded(engine, dict.fromkeys(STRATA, 1))
    assert owner.buffer.thresholds().subjects == {(NEGATIVE, "bot"): 4.0}
    owner.buffer = bounded(engine, dict.fromkeys(STRATA, 3))
    owner.flush([*loud(2, 2), *loud(6, 2)])
    assert set(held(engine)) == {"bot-5", "bot-6", "bot-7"}
    assert owner.buffer.thresholds().subjects == {(NEGATIVE, "bot"): 4.0}


def test_what_a_process_left_untrimmed_goes_when_the_next_one_starts(engine: sa.Engine) -> None:
    Owner(engine, bounded(engine, PLACES)).flush(loud(0, 6))  # nobody trimmed its subjects by the bound of now
    assert bounded(engine).thresholds().subjects == {(NEGATIVE, "bot"): 3.0}
    assert set(held(engine)) == {"bot-5", "bot-4"}


def test_scored_again_rows_keep_the_chance_that_the_bound_left_them(engine: sa.Engine) -> None:
    def score(samples: Sequence[Sample]) -> Scores:
        return Scores.uniform(len(samples))

    policy, owner = AdmissionPolicy(StrataPolicy("salt"), "salt"), Owner(engine, bounded(engine))
    owner.flush([*loud(0, 6), *quiet(3)])
    Rescoring(engine, policy, dict.fromkeys(STRATA, ""), score, WORKER).stratum(NEGATIVE)
    assert stored_by_subject(engine) == {}
    drawn = dict(zip((draw := BufferReader(engine).draw()).ids, draw.probability.tolist(), strict=True))
    assert drawn["bot-4"] == drawn["bot-5"] == pytest.approx(exp(-3.0))
    assert drawn["quiet-0"] == 1.0


def test_a_subject_s_surplus_that_waits_for_its_trim_evicts_nobody_else(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    """One worker stores a loud subject while another one trims: the surplus must not count against the stratum."""
    one, other = Owner(engine, bounded(engine)), Owner(connect(), bounded(connect()), partition=1)
    for worker in (one, other):
        worker.buffer.thresholds()  # both have started
    with connect().connect() as trimming, trimming.begin():
        assert try_for(trimming, Right.TRIM)
        one.flush(loud(5, 8))  # not trimmed yet
    other.flush(quiet(5))
    assert set(held(engine)) == {"bot-12", "bot-11", *(f"quiet-{n}" for n in range(5))}
    assert other.buffer.thresholds()[NEGATIVE].kappa == float("-inf")
