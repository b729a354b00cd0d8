"""Keys, the thresholds, and the buffer in memory: exact laws."""

from collections.abc import Callable, Sequence
from math import inf, isfinite, log

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.hashing import uniform
from importance.reservoir import AdmissionPolicy, Reservoir, admit
from importance.sample import Action, Correction, Outcome, Rating, Sample
from importance.scores import SERVING, Offer, Predictions, Scores
from importance.strata import HOLDOUT, NEGATIVE, POSITIVE, STRATA, UNIFORM, StrataPolicy
from importance.thresholds import AdmissionThresholds, Threshold, inclusion_probability

NOON_MS = 1_300_000_000_000
POLICY = AdmissionPolicy(StrataPolicy("salt"), "salt", half_life_seconds=3_600.0, landmark_ms=NOON_MS)
CAPACITIES = {HOLDOUT: 2, UNIFORM: 3, POSITIVE: 5, NEGATIVE: 4}


def sample(number: int, actions: int = 0, time_ms: int = NOON_MS) -> Sample:
    return Sample(
        id=f"impression-{number}", subject=f"subject-{number % 40}", surface="search", query="lamp", item="i", text="t",
        time_ms=time_ms, partition=0, offset=number, actions=actions,
    )  # fmt: skip


def scores(values: list[float], prediction: list[float] | None = None) -> Scores:
    return Scores(
        np.array(values), "loss", "v7", mean_importance=0.8,
        predictions={} if prediction is None else {SERVING: Predictions("v7", np.array(prediction))},
    )  # fmt: skip


def offers(count: int = 120, thresholds: AdmissionThresholds | None = None) -> list[Offer]:
    drawn = np.random.default_rng(3)
    batch = [sample(number, number % 2, NOON_MS + number * 60_000) for number in range(count)]
    return admit(batch, scores(drawn.lognormal(size=count).tolist()), POLICY, thresholds or AdmissionThresholds())


def filled(batches: list[list[Offer]], capacities: dict[str, int] | None = None) -> Reservoir:
    reservoir = Reservoir(capacities or CAPACITIES)
    for batch in batches:
        reservoir.offer(batch)
        reservoir.trim()
    return reservoir


def content(reservoir: Reservoir) -> tuple[list[Offer], dict[str, Threshold]]:
    return reservoir.rows(), {name: reservoir.thresholds()[name] for name in STRATA}


OFFERS = offers()


def test_a_key_is_the_formula_of_the_theory() -> None:
    for offer in OFFERS:
        u = uniform(offer.sample.id, "salt", "draw")
        weight = 0.75 * offer.importance / 0.8 + 0.25 if offer.stratum in (POSITIVE, NEGATIVE) else 1.0
        hours = (offer.sample.time_ms - NOON_MS) / 3_600_000
        assert np.isclose(offer.log_weight, log(weight) + log(2) * hours, rtol=1e-12, atol=1e-12)
        assert offer.key == offer.log_weight - log(u)


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=40, unique=True), st.data())
def test_a_key_is_the_same_to_the_bit_in_any_batch(numbers: list[int], data: st.DataObject) -> None:
    values = data.draw(st.lists(st.floats(0, 1e30), min_size=len(numbers), max_size=len(numbers)))
    batch = [sample(number, number % 2, NOON_MS + number) for number in numbers]
    together = admit(batch, scores(values), POLICY, AdmissionThresholds())
    alone = [
        admit([one], scores([value]), POLICY, AdmissionThresholds())[0]
        for one, value in zip(batch, values, strict=True)
    ]
    assert together == alone


@given(st.permutations(OFFERS), st.integers(1, 50))
def test_order_and_batches_change_neither_rows_nor_thresholds(shuffled: list[Offer], size: int) -> None:
    batches = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    assert content(filled(batches)) == content(filled([OFFERS]))


@given(st.lists(st.sampled_from(OFFERS), max_size=60), st.booleans())
def test_a_repeated_offer_changes_nothing(repeated: list[Offer], before: bool) -> None:
    batches = [repeated, OFFERS] if before else [OFFERS, repeated]
    assert content(filled(batches)) == content(filled([OFFERS]))


@given(st.lists(st.integers(0, 2), min_size=len(OFFERS), max_size=len(OFFERS)))
def test_workers_that_share_the_stream_merge_into_what_one_would_hold(owner: list[int]) -> None:
    workers = [
        filled([[offer for offer, mine in zip(OFFERS, owner, strict=True) if mine == worker]]) for worker in range(3)
    ]
    for other in workers[1:]:
        workers[0].merge(other)
    assert content(workers[0]) == content(filled([OFFERS]))


@given(st.integers(0, len(OFFERS)), st.integers(0, len(OFFERS)))
def test_old_thresholds_change_nothing_in_the_end(seen: int, offered: int) -> None:
    """A worker that last looked after ``seen`` offers turns away less, never more, than a worker that looks now."""
    old_thresholds = filled([OFFERS[: min(seen, offered)]]).thresholds()
    rest = offers(thresholds=old_thresholds)[offered:]
    reservoir = filled([OFFERS[:offered], [offer for offer in rest if offer.kept]])
    expected, held = content(filled([OFFERS])), content(reservoir)
    assert [offer.key for offer in held[0]] == [offer.key for offer in expected[0]]
    assert held[1] == expected[1]


def test_the_threshold_is_the_first_key_that_did_not_fit() -> None:
    reservoir = filled([OFFERS[:50], OFFERS[50:]])
    for name, capacity in CAPACITIES.items():
        keys = sorted((offer.key for offer in OFFERS if offer.stratum == name), reverse=True)
        assert reservoir.thresholds()[name].kappa == keys[capacity]
        assert [row.key for row in reservoir.rows() if row.stratum == name] == keys[:capacity]


def test_a_stratum_that_was_never_full_lets_everybody_in() -> None:
    reservoir = filled([OFFERS], dict.fromkeys(STRATA, 1_000))
    assert all(reservoir.thresholds()[name] == Threshold(-inf, 0) for name in STRATA)
    assert [row.probability for row in reservoir.rows()] == [1.0] * len(OFFERS)
    assert not reservoir.trim()


def test_a_row_carries_the_probability_of_the_present_threshold() -> None:
    reservoir = filled([OFFERS])
    for row in reservoir.rows():
        kappa = reservoir.thresholds()[row.stratum].kappa
        assert row.probability == inclusion_probability(row.log_weight, kappa)
        assert 0 < row.probability <= 1


def test_the_threshold_rejects_what_cannot_stay_and_names_its_epoch() -> None:
    thresholds = AdmissionThresholds(dict.fromkeys(STRATA, Threshold(2.0, epoch=3)))
    turned = offers(thresholds=thresholds)
    assert {offer.kept for offer in turned} == {True, False}
    assert all(offer.kept == (offer.key > 2.0) and offer.threshold_epoch == 3 for offer in turned)
    assert all(offer.probability == inclusion_probability(offer.log_weight, 2.0) for offer in turned)


def test_equal_keys_at_the_threshold_leave_together_whatever_their_order() -> None:
    twins = [msgspec.structs.replace(OFFERS[0], sample=sample(number), key=1.0) for number in range(3)]
    best = msgspec.structs.replace(OFFERS[0], sample=sample(9), key=2.0)
    for order in ([*twins, best], [best, *twins]):
        reservoir = filled([order], {OFFERS[0].stratum: 2})
        assert [row.sample.id for row in reservoir.rows()] == ["impression-9"]


def test_a_stratum_without_places_holds_nothing() -> None:
    reservoir = filled([OFFERS], {**CAPACITIES, UNIFORM: 0})
    assert {row.stratum for row in reservoir.rows()} == set(STRATA) - {UNIFORM}


def test_holdout_and_uniform_strata_do_not_look_at_importance() -> None:
    batch = [sample(number) for number in range(200)]
    low, high = (admit(batch, scores([value] * 200), POLICY, AdmissionThresholds()) for value in (0.0, 9.0))
    for first, second in zip(low, high, strict=True):
        assert (first.key == second.key) == (first.stratum in (HOLDOUT, UNIFORM))


def test_an_offer_keeps_what_the_model_said_and_the_label_at_close() -> None:
    (offer,) = admit([sample(1, Action.PURCHASE)], scores([0.5], prediction=[0.9]), POLICY, AdmissionThresholds())
    assert (offer.importance, offer.estimator, offer.model, offer.prediction, offer.label) == (
        0.5,
        "loss",
        "v7",
        0.9,
        1,
    )


@pytest.mark.parametrize(("positive_from", "expected"), [(Outcome.CLICK, 1), (Outcome.PURCHASE, 0)])
def test_the_label_follows_the_policy(positive_from: Outcome, expected: int) -> None:
    policy = AdmissionPolicy(POLICY.strata, "salt", positive_from=positive_from)
    assert admit([sample(1, Action.CLICK)], Scores.uniform(1), policy, AdmissionThresholds())[0].label == expected


def test_a_late_action_corrects_label_and_rating_and_leaves_the_draw_alone() -> None:
    reservoir = filled([OFFERS], dict.fromkeys(STRATA, 1_000))
    before = {row.sample.id: row for row in reservoir.rows()}
    early, late = Rating(1, "a", 2.0), Rating(2, "b", 5.0)
    reservoir.correct(
        [
            Correction("impression-2", Action.RATING, late),
            Correction("impression-2", Action.RATING | Action.CLICK, early),
            Correction("never seen", Action.CLICK),
        ]
    )
    after = {row.sample.id: row for row in reservoir.rows()}
    changed = after["impression-2"]
    assert (before["impression-2"].label, changed.label) == (0, 1)
    assert (changed.sample.actions, changed.sample.rating) == (Action.RATING | Action.CLICK, late)
    same = msgspec.structs.replace(changed, sample=before["impression-2"].sample, label=0)
    assert {**after, "impression-2": same} == before


def test_ten_years_of_decay_at_a_half_life_of_an_hour_stay_finite() -> None:
    day_ms, days = 86_400_000, 3_650
    batch = [sample(number, 0, NOON_MS + number * day_ms) for number in range(days)]
    reservoir = Reservoir(dict.fromkeys(STRATA, 50))
    for start in range(0, days, 100):
        part = batch[start : start + 100]
        reservoir.offer(admit(part, Scores.uniform(len(part)), POLICY, reservoir.thresholds()))
        reservoir.trim()
    rows = reservoir.rows()
    assert all(isfinite(row.key) and isfinite(row.log_weight) and 0 < row.probability <= 1 for row in rows)
    # A day is 24 half-lives, so a draw in favour of an older day is one in millions: the newest of each stratum stay.
    newest = {row.stratum: max(other.sample.offset for other in rows if other.stratum == row.stratum) for row in rows}
    assert all(offset > days - 100 for offset in newest.values())


def test_decay_moves_all_keys_alike_and_so_never_changes_the_order() -> None:
    later = AdmissionPolicy(POLICY.strata, "salt", half_life_seconds=3_600.0, landmark_ms=NOON_MS - 7_200_000)
    batch = [offer.sample for offer in OFFERS]
    moved = admit(batch, Scores.uniform(len(batch)), later, AdmissionThresholds())
    still = admit(batch, Scores.uniform(len(batch)), POLICY, AdmissionThresholds())
    shifts = [second.key - first.key for first, second in zip(still, moved, strict=True)]
    np.testing.assert_allclose(shifts, 2 * log(2), rtol=1e-9)


def test_a_limit_left_by_an_earlier_draw_bounds_the_probability() -> None:
    assert inclusion_probability(5.0, 1.0, limit=-log(2)) == pytest.approx(0.5)
    assert inclusion_probability(1.0, 3.0, limit=-log(2)) == pytest.approx(np.exp(-2))


def test_scores_and_samples_must_be_one_each() -> None:
    with pytest.raises(InvalidInput, match="1 scores for 2 samples"):
        admit([sample(1), sample(2)], Scores.uniform(1), POLICY, AdmissionThresholds())


@pytest.mark.parametrize(
    "wrong", [{"salt": ""}, {"floor": 0.0}, {"half_life_seconds": 0.0}, {"half_life_seconds": float("nan")}]
)
def test_a_policy_that_makes_no_key_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInput):
        AdmissionPolicy(**{"strata": POLICY.strata, "salt": "s", **wrong})  # type: ignore[arg-type]  # wrong on purpose


def reweigh(factor: float, estimator: str = "entropy") -> Callable[[Sequence[Sample]], Scores]:
    """Another estimator, whose scores do not follow the first one's."""

    def score(samples: Sequence[Sample]) -> Scores:
        values = [factor * (1 + sample.offset * 7 % 11) for sample in samples]
        return Scores(np.array(values), estimator, "v8", mean_importance=0.8)

    return score


def test_a_stratum_that_is_scored_again_has_new_keys_of_the_same_u_and_begins_again() -> None:
    reservoir = filled([OFFERS])
    before = {row.sample.id: row for row in reservoir.rows()}
    reservoir.rescore(NEGATIVE, reweigh(100.0), POLICY)
    after = {row.sample.id: row for row in reservoir.rows()}
    assert set(after) == set(before)
    assert reservoir.thresholds()[NEGATIVE] == Threshold(-inf, epoch=1)
    for id_, row in after.items():
        if row.stratum != NEGATIVE:
            assert row == before[id_]
            continue
        assert (row.estimator, row.model, row.importance) == ("entropy", "v8", 100.0 * (1 + row.sample.offset * 7 % 11))
        assert row.key == row.log_weight - log(uniform(id_, "salt", "draw"))
        assert row.key > before[id_].key
        assert row.probability == pytest.approx(before[id_].probability, rel=1e-12)


def test_to_score_again_and_back_leaves_what_was_held_with_its_chance() -> None:
    reservoir = filled([OFFERS])
    before = reservoir.rows()
    reservoir.rescore(POSITIVE, reweigh(1e-3), POLICY)
    reservoir.rescore(POSITIVE, reweigh(1e3), POLICY)
    assert {row.sample.id: row.probability for row in reservoir.rows()} == pytest.approx(
        {row.sample.id: row.probability for row in before}
    )
    assert reservoir.thresholds()[POSITIVE].epoch == 2


def test_single_rows_that_are_scored_again_keep_the_threshold_and_may_fall_to_it() -> None:
    reservoir = filled([OFFERS])
    kappa = reservoir.thresholds()[NEGATIVE].kappa
    chosen = [row for row in reservoir.rows() if row.stratum == NEGATIVE][:2]
    reservoir.rescore_rows([*(row.sample.id for row in chosen[:1]), "nobody"], reweigh(50.0), POLICY)
    (row,) = [row for row in reservoir.rows() if row.sample.id == chosen[0].sample.id]
    assert row.limit == chosen[0].log_weight - kappa
    assert row.probability == pytest.approx(min(chosen[0].probability, inclusion_probability(row.log_weight, kappa)))
    last = min((row for row in reservoir.rows() if row.stratum == NEGATIVE), key=lambda row: row.key)
    reservoir.rescore_rows([last.sample.id], reweigh(0.0), POLICY)
    assert last.importance > 0.5  # its weight falls from more than 0.7 to the floor
    assert last.sample.id not in {row.sample.id for row in reservoir.rows()}
    assert reservoir.thresholds()[NEGATIVE] == Threshold(kappa, 0)


def test_an_offer_that_an_older_threshold_rejected_stays_outside_when_the_stratum_restarts() -> None:
    reservoir = filled([OFFERS[:60]])
    refused = [offer for offer in offers(thresholds=reservoir.thresholds())[60:] if not offer.kept]
    for name in STRATA:
        reservoir.rescore(name, reweigh(1.0), POLICY)
    reservoir.offer(refused)
    assert refused
    assert {row.sample.id for row in reservoir.rows()}.isdisjoint(offer.sample.id for offer in refused)


def test_an_offer_above_an_older_threshold_keeps_the_chance_that_this_threshold_left() -> None:
    reservoir = filled([OFFERS[:60]])
    late = [offer for offer in offers(thresholds=reservoir.thresholds())[60:] if offer.kept]
    kappas = {name: reservoir.thresholds()[name].kappa for name in STRATA}
    for name in STRATA:
        reservoir.rescore(name, reweigh(1.0), POLICY)
    reservoir.offer(late)
    by_id = {row.sample.id: row for row in reservoir.rows()}
    for offer in late:
        left = min(0.0, offer.log_weight - kappas[offer.stratum])
        assert by_id[offer.sample.id].limit == pytest.approx(left, abs=1e-12)
        assert by_id[offer.sample.id].probability == pytest.approx(np.exp(left), rel=1e-12)


@given(st.permutations(OFFERS), st.integers(0, 6), st.integers(0, 6))
def test_growing_keeps_the_threshold_and_shrinking_raises_it(order: list[Offer], first: int, second: int) -> None:
    reservoir = filled([order], dict.fromkeys(STRATA, first))
    before = content(reservoir)
    reservoir.resize(dict.fromkeys(STRATA, second))
    assert content(reservoir) == (
        before if second >= first else content(filled([order], dict.fromkeys(STRATA, second)))
    )


@given(st.permutations(OFFERS))
def test_a_stratum_is_merged_into_those_of_the_labels_as_one_of_their_pools(order: list[Offer]) -> None:
    moved = [
        msgspec.structs.replace(offer, stratum="country=France") if offer.sample.offset % 3 == 0 else offer
        for offer in order
    ]
    reservoir = filled([moved], {**CAPACITIES, "country=France": 3})
    gone = reservoir.thresholds()["country=France"].kappa
    kappas = {name: reservoir.thresholds()[name].kappa for name in (POSITIVE, NEGATIVE)}
    before = {row.sample.id: row for row in reservoir.rows()}
    reservoir.dissolve("country=France")
    for name, kappa in kappas.items():
        pooled = [row for row in before.values() if row.stratum == name or row.stratum not in STRATA]
        mine = [row for row in pooled if row.label == (name == POSITIVE) and row.key > max(kappa, gone)]
        largest = sorted((row.key for row in mine), reverse=True)
        assert [row.key for row in reservoir.rows() if row.stratum == name] == largest[: CAPACITIES[name]]
        assert reservoir.thresholds()[name].kappa == max([kappa, gone, *largest[CAPACITIES[name] :]])
    assert {row.stratum for row in reservoir.rows()} <= set(STRATA)
