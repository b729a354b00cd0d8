"""One suite over every buffer: what is scored again, given another capacity, or merged, is as the theory says."""

from collections.abc import Sequence
from math import exp, inf, isfinite

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from importance.hashing import uniform
from importance.reservoir import Score, admit
from importance.sample import Sample
from importance.scores import Offer, Scores
from importance.strata import NEGATIVE, POSITIVE
from importance.thresholds import AdmissionThresholds
from tests.contract.buffers import FRANCE, POLICY, SharedBuffer

STRATA = POLICY.strata.names
COUNT = 60
quiet = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
VALUES = st.lists(st.floats(0, 100), min_size=COUNT, max_size=COUNT)
CAPACITY = st.integers(1, 6)


def sample(number: int) -> Sample:
    return Sample(
        id=f"i{number}", subject=f"s{number}", surface="search", query="q", item="i", text="t",
        time_ms=1_300_000_000_000 + number * 60_000, partition=0, offset=number, actions=number % 2,
        attributes={"country": "France" if number % 3 == 0 else "Malta"},
    )  # fmt: skip


SAMPLES = [sample(number) for number in range(COUNT)]


def scored(values: Sequence[float], estimator: str, model: str) -> Score:
    """Scores by the sample's number."""
    return lambda samples: Scores(np.array([values[each.offset] for each in samples]), estimator, model)


def offered(buffer: SharedBuffer, writer: int, samples: Sequence[Sample], score: Score) -> list[Offer]:
    return [each for each in admit(samples, score(samples), POLICY, buffer.thresholds(writer)) if each.kept]


def keys(samples: Sequence[Sample], score: Score) -> dict[str, Offer]:
    """The offers that open strata would see."""
    return {each.sample.id: each for each in admit(samples, score(samples), POLICY, AdmissionThresholds())}


def largest(keyed: dict[str, float], capacity: int) -> tuple[list[str], float]:
    """By plain sorting: the ids of the largest keys, and the first key that did not fit."""
    order = sorted(keyed, key=lambda id_: -keyed[id_])
    return order[:capacity], keyed[order[capacity]] if len(order) > capacity else -inf


@quiet
@given(first=VALUES, second=VALUES, capacity=CAPACITY, cut=st.integers(0, COUNT))
def test_a_stratum_scored_again_goes_on_with_new_keys_and_the_chance_that_is_left(
    buffer: SharedBuffer, first: list[float], second: list[float], capacity: int, cut: int
) -> None:
    """Every stratum: offers up to ``cut`` by one estimator, then all again and the rest by another."""
    old, new = scored(first, "loss", "v1"), scored([50 * value for value in second], "entropy", "v2")
    buffer.empty(dict.fromkeys(STRATA, capacity))
    buffer.write(0, offered(buffer, 0, SAMPLES[:cut], old), [])
    before, _ = buffer.trimmed()
    for name in STRATA:
        buffer.rescore(name, new)
    buffer.write(0, [], [])  # reads the thresholds
    buffer.write(0, offered(buffer, 0, SAMPLES[cut:], new), [])
    thresholds, held = buffer.trimmed()
    was, now = keys(SAMPLES[:cut], old), keys(SAMPLES, new)
    for name in STRATA:
        kept, kappa = largest({id_: each.key for id_, each in was.items() if each.stratum == name}, capacity)
        assert before[name].kappa == kappa
        limits = {id_: min(0.0, was[id_].log_weight - kappa) for id_ in kept}
        limits |= {each.id: 0.0 for each in SAMPLES[cut:] if now[each.id].stratum == name}
        kept, kappa = largest({id_: now[id_].key for id_ in limits}, capacity)
        assert thresholds[name].kappa == kappa
        assert {id_ for id_, row in held.items() if row[0] == name} == set(kept)
        for id_ in kept:
            assert held[id_][3] == now[id_].log_weight
            expected = exp(min(limits[id_], now[id_].log_weight - kappa))
            assert held[id_][1] == pytest.approx(expected, rel=1e-12)
    assert {thresholds[name].epoch for name in STRATA} == {1}


@quiet
@given(first=VALUES, second=VALUES, capacity=CAPACITY, cut=st.integers(0, COUNT))
def test_an_offer_on_its_way_keeps_the_chance_that_the_previous_threshold_left_it(
    buffer: SharedBuffer, first: list[float], second: list[float], capacity: int, cut: int
) -> None:
    old, new = scored(first, "loss", "v1"), scored(second, "loss", "v2")
    buffer.empty(dict.fromkeys(STRATA, capacity))
    buffer.write(1, offered(buffer, 1, SAMPLES[:cut], old), [])
    thresholds = buffer.thresholds(1)
    late = offered(buffer, 1, SAMPLES[cut:], old)
    for name in STRATA:
        buffer.rescore(name, new)
    buffer.write(1, late, [])
    after, held = buffer.trimmed()
    for each in late:
        if each.sample.id in held:
            left = each.log_weight - thresholds[each.stratum].kappa
            expected = exp(min(0.0, left, each.log_weight - after[each.stratum].kappa))
            assert held[each.sample.id][1] == pytest.approx(expected, rel=1e-12)
    assert {each.sample.id for each in late if each.key > after[each.stratum].kappa} == held.keys() & {
        each.sample.id for each in late
    }


@quiet
@given(first=VALUES, second=VALUES, capacity=CAPACITY, chosen=st.sets(st.integers(0, COUNT - 1)))
def test_rows_scored_again_keep_the_threshold_and_go_when_they_fall_to_it(
    buffer: SharedBuffer, first: list[float], second: list[float], capacity: int, chosen: set[int]
) -> None:
    old, bad, new = scored(first, "loss", "v1"), scored(first, "loss", "bad"), scored(second, "loss", "v2")
    buffer.empty(dict.fromkeys(STRATA, capacity))
    buffer.write(0, offered(buffer, 0, [each for each in SAMPLES if each.offset not in chosen], old), [])
    buffer.write(1, offered(buffer, 1, [each for each in SAMPLES if each.offset in chosen], bad), [])
    thresholds, before = buffer.trimmed()
    buffer.rescore_rows("bad", new)
    after, held = buffer.trimmed()
    assert [after[name] for name in STRATA] == [thresholds[name] for name in STRATA]
    again = keys(SAMPLES, new)
    for id_, (stratum, probability, label, _) in before.items():
        if int(id_[1:]) not in chosen:
            assert held[id_] == before[id_]
            continue
        assert (id_ in held) == (again[id_].key > thresholds[stratum].kappa)
        if id_ in held:
            expected = min(probability, exp(min(0.0, again[id_].log_weight - thresholds[stratum].kappa)))
            assert held[id_] == (stratum, pytest.approx(expected, rel=1e-12), label, again[id_].log_weight)


@quiet
@given(values=VALUES, sizes=st.lists(CAPACITY, min_size=2, max_size=4))
def test_places_change_at_run_time_and_the_threshold_never_falls(
    buffer: SharedBuffer, values: list[float], sizes: list[int]
) -> None:
    score = scored(values, "loss", "v1")
    buffer.empty(dict.fromkeys(STRATA, sizes[0]))
    buffer.write(0, offered(buffer, 0, SAMPLES, score), [])
    for size in sizes[1:]:
        buffer.resize(dict.fromkeys(STRATA, size))
    thresholds, held = buffer.trimmed()
    open_thresholds = keys(SAMPLES, score)
    for name in STRATA:
        keyed = {id_: each.key for id_, each in open_thresholds.items() if each.stratum == name}
        kept, kappa = largest(keyed, min(sizes))
        assert thresholds[name].kappa == kappa
        assert {id_ for id_, row in held.items() if row[0] == name} == set(kept)


@quiet
@given(values=VALUES, capacity=CAPACITY, own=CAPACITY)
def test_a_stratum_that_is_not_wanted_any_more_is_merged_into_those_of_the_labels(
    buffer: SharedBuffer, values: list[float], capacity: int, own: int
) -> None:
    score = scored(values, "loss", "v1")
    buffer.empty(dict.fromkeys(STRATA, capacity) | {FRANCE: own})
    buffer.write(0, offered(buffer, 0, SAMPLES, score), [])
    before, rows = buffer.trimmed()
    buffer.dissolve(FRANCE, score)
    thresholds, held = buffer.trimmed()
    keyed = {id_: each.key for id_, each in keys(SAMPLES, score).items()}
    for label, name in ((1, POSITIVE), (0, NEGATIVE)):
        at_least = max(before[name].kappa, before[FRANCE].kappa)
        pooled = {id_: keyed[id_] for id_, row in rows.items() if row[0] == name or (row[0], row[2]) == (FRANCE, label)}
        kept, kappa = largest({id_: key for id_, key in pooled.items() if key > at_least}, capacity)
        assert thresholds[name].kappa == max(at_least, kappa)
        assert {id_ for id_, row in held.items() if row[0] == name} == set(kept)
    assert FRANCE not in {row[0] for row in held.values()}


def test_a_key_is_that_of_the_theory_before_and_after(buffer: SharedBuffer) -> None:
    buffer.empty(dict.fromkeys(STRATA, COUNT))
    buffer.write(0, offered(buffer, 0, SAMPLES, scored([1.0] * COUNT, "loss", "v1")), [])
    score = scored([float(number) for number in range(COUNT)], "entropy", "v2")
    for name in STRATA:
        buffer.rescore(name, score)
    _, held = buffer.trimmed()
    assert len(held) == COUNT
    for id_, (stratum, probability, _, log_weight) in held.items():
        again = keys([sample(int(id_[1:]))], score)[id_]
        assert (stratum, log_weight, probability) == (again.stratum, again.log_weight, 1.0)
        assert isfinite(again.key)
        assert again.key == again.log_weight - np.log(uniform(id_, "salt", "draw"))
