"""What the draw promises on average. Seeds are fixed, so a test here passes always or never.

The replicates differ in the salt alone, and the numbers come from the code that the worker runs; the benchmark
`buffer_statistics` prints the same simulations with more runs.
"""

from collections.abc import Sequence
from math import log, sqrt

import msgspec
import numpy as np
import pytest

from benchmarks import buffer_statistics as promised
from benchmarks._sampling import Bias, by_share_of_the_weight
from benchmarks.buffer_statistics import BOUND
from importance.hashing import uniforms
from importance.reservoir import AdmissionPolicy, Reservoir, Score, admit
from importance.sample import Sample
from importance.scores import Scores
from importance.strata import NEGATIVE, StrataPolicy

ONE_STRATUM = StrataPolicy("salt", holdout_ratio=0.0, uniform_ratio=0.0)
WAYS = {name: (way, wrong) for name, way, wrong in promised.ways()}


def stream(count: int) -> list[Sample]:
    return [
        Sample(f"id-{number}", "s", "search", "q", "i", "t", time_ms=number * 1_000, partition=0, offset=number)
        for number in range(count)
    ]


def holds(row: Sequence[object]) -> bool:
    return row[-1] in ("holds", "fails, as it must")


def test_totals_are_estimated_without_bias_and_so_is_their_variance() -> None:
    for name, found, of_variance in promised.unbiasedness(10_000):
        assert abs(found.z) < BOUND, name
        assert 0.95 < of_variance < 1.05, name


def test_that_very_test_fails_when_the_wrong_formula_is_put_in() -> None:
    """p = min(1, k·w/Σw). With mild weights it would hardly fail, and prove nothing."""
    wrongly = {name: found for name, found, _ in promised.unbiasedness(500, by_share_of_the_weight)}
    assert abs(wrongly["what falls with it"].z) > BOUND


@pytest.mark.parametrize("name", WAYS)
def test_the_buffer_s_way_is_unbiased_and_what_one_would_do_first_is_not(name: str) -> None:
    way, wrong = WAYS[name]
    runs = 100
    found = Bias.of([(1 / way(u)[1]).sum() for u in promised.sampling.runs_of(2_000, runs)], 2_000)
    assert (abs(found.z) > BOUND) == wrong, found


def test_the_negative_control_is_off_by_half_and_more() -> None:
    way, _ = WAYS["**negative control**: p = min(1, k·w/Σw)"]
    found = Bias.of([(1 / way(u)[1]).sum() for u in promised.sampling.runs_of(2_000, 100)], 2_000)
    assert found.bias > 0.4


def test_pairs_are_held_as_often_as_priority_sampling_says_and_not_as_successive_draws() -> None:
    assert all(map(holds, promised.pairs(40_000)))


def test_ten_years_of_decay_stay_finite_and_without_bias() -> None:
    assert holds(promised.decay(300))


def test_intervals_cover_as_promised() -> None:
    """A smaller stream and fewer runs than the benchmark's: three standard errors of its own are allowed for."""
    runs = 300
    for found in promised.coverage(runs, count=5_000):
        low, high = found.bounds or (0.0, 1.0)
        slack = 3 * sqrt(0.05 * 0.95 / runs)
        assert low - slack <= found.covered <= high + slack, found
        assert (found.too_few > 0.5) == (found.bounds is None), found


def test_a_loud_subject_stays_at_its_share_and_estimates_still_cover_the_truth() -> None:
    for each in promised.crowds(runs=100, share=0.1, others=200):
        assert each.largest <= 0.1
        if each.wrong:
            assert not each.holds
            assert each.covered < 0.5
        else:
            assert abs(each.bias.z) < 4
            assert each.covered >= 0.88


def test_our_rule_of_drawing_has_the_least_variance_of_those_without_bias() -> None:
    ours, clipped, again, by_score, forgotten, plain = promised.drawing("bimodal", 300)
    assert abs(ours.bias) < 0.02
    assert abs(clipped.bias) < 0.02
    assert ours.variance < min(again.variance, by_score.variance, plain.variance)
    assert forgotten.bias > 1
    assert (by_score.ess < 0.2, ours.ess > 0.5) == (True, True)


def test_the_whole_path_through_admission_and_trims_is_unbiased() -> None:
    """Samples offered in batches with decay, floor and scores, to thresholds that rise as they come."""
    samples, random = stream(600), np.random.default_rng(5)
    importance = random.lognormal(sigma=1.5, size=600)
    values = random.uniform(size=600) * importance
    totals = np.empty(300)
    for repeat in range(300):
        policy = AdmissionPolicy(ONE_STRATUM, f"salt {repeat}", half_life_seconds=400.0)
        reservoir = Reservoir({NEGATIVE: 60})
        for start in range(0, 600, 100):
            part = slice(start, start + 100)
            scored = Scores(importance[part], "loss", "v1", mean_importance=3.0)
            reservoir.offer(
                offer for offer in admit(samples[part], scored, policy, reservoir.thresholds()) if offer.kept
            )
            reservoir.trim()
        totals[repeat] = sum(values[row.sample.offset] / row.probability for row in reservoir.rows())
    assert abs(Bias.of(totals, float(values.sum())).z) < BOUND


def test_the_whole_path_stays_unbiased_when_subjects_are_erased_on_the_way_and_all_is_offered_again() -> None:
    """What is left estimates the stream without them: of one erased for ever, and of one only up to a time."""
    random = np.random.default_rng(6)
    samples = [msgspec.structs.replace(each, subject=f"s{random.integers(0, 12)}") for each in stream(600)]
    importance = random.lognormal(sigma=1.5, size=600)
    values = random.uniform(size=600) * importance
    totals = np.empty(300)
    for repeat in range(300):
        policy = AdmissionPolicy(ONE_STRATUM, f"salt {repeat}", half_life_seconds=400.0)
        reservoir = Reservoir({NEGATIVE: 60}, subject_capacities={NEGATIVE: 8})
        for start in (*range(0, 600, 100), *range(0, 600, 100)):
            part = slice(start, start + 100)
            scored = Scores(importance[part], "loss", "v1", mean_importance=3.0)
            reservoir.offer(
                offer for offer in admit(samples[part], scored, policy, reservoir.thresholds()) if offer.kept
            )
            reservoir.trim()
            if start == 200:
                reservoir.erase("s1", until_ms=10**9)
                reservoir.erase("s2", until_ms=300_000)
        totals[repeat] = sum(values[row.sample.offset] / row.probability for row in reservoir.rows())
    stays = [each.subject != "s1" and (each.subject != "s2" or each.time_ms > 300_000) for each in samples]
    assert abs(Bias.of(totals, float(values[stays].sum())).z) < BOUND


def by_offset(values: np.ndarray, estimator: str) -> Score:
    return lambda samples: Scores(np.array([values[each.offset] for each in samples]), estimator, "v", 3.0)


def test_the_whole_path_stays_unbiased_when_the_scale_of_scores_shifts_under_offers_on_their_way() -> None:
    """Half the stream by one estimator; the stratum scored again by another of thrice the scale; then offers that had
    passed the previous threshold, single rows scored once more, and the rest by the new estimator."""
    samples, random = stream(600), np.random.default_rng(8)
    old, new = random.lognormal(sigma=1.5, size=600), 3 * random.lognormal(sigma=1.5, size=600)
    values = random.uniform(size=600) * new
    totals, on_the_way = np.empty(400), np.empty(400)
    for repeat in range(400):
        policy = AdmissionPolicy(ONE_STRATUM, f"salt {repeat}", half_life_seconds=400.0)
        reservoir = Reservoir({NEGATIVE: 60})
        first, second = by_offset(old, "loss"), by_offset(new, "entropy")
        for start in range(0, 300, 100):
            part = samples[start : start + 100]
            reservoir.offer(offer for offer in admit(part, first(part), policy, reservoir.thresholds()) if offer.kept)
            reservoir.trim()
        late = admit(samples[300:350], first(samples[300:350]), policy, reservoir.thresholds())
        reservoir.rescore(NEGATIVE, second, policy)
        reservoir.offer(offer for offer in late if offer.kept)
        on_the_way[repeat] = sum(1 / row.probability for row in reservoir.rows())
        reservoir.trim()
        for start in range(350, 600, 50):
            part = samples[start : start + 50]
            reservoir.offer(offer for offer in admit(part, second(part), policy, reservoir.thresholds()) if offer.kept)
            reservoir.trim()
        reservoir.rescore_rows((each.id for each in samples if each.offset % 3), by_offset(old, "entropy"), policy)
        totals[repeat] = sum(values[row.sample.offset] / row.probability for row in reservoir.rows())
    assert abs(Bias.of(on_the_way, 350).z) < BOUND
    assert abs(Bias.of(totals, float(values.sum())).z) < BOUND


def test_a_million_offers_into_10_000_places_are_few_inserts() -> None:
    """About k(1 + ln(N/k)) = 56,052: the work for each event falls as the stream grows."""
    capacity, count, batch = 10_000, 1_000_000, 500
    keys = -np.log(uniforms((str(number) for number in range(count)), "salt", "draw"))
    pool, kappa, inserts = np.empty(0), -np.inf, 0
    for start in range(0, count, batch):
        offered = keys[start : start + batch]
        entering = offered[offered > kappa]
        inserts += len(entering)
        pool = np.concatenate([pool, entering])
        if len(pool) > capacity:
            parted = np.partition(pool, len(pool) - capacity - 1)
            pool, kappa = parted[len(pool) - capacity :], float(parted[len(pool) - capacity - 1])
    assert inserts <= 1.1 * capacity * (1 + log(count / capacity))
    assert len(pool) == capacity


def test_the_buffer_in_memory_inserts_no_more_than_the_law_says() -> None:
    capacity, count, batch = 300, 30_000, 50
    policy, reservoir = AdmissionPolicy(ONE_STRATUM, "salt"), Reservoir({NEGATIVE: capacity})
    samples = stream(count)
    for start in range(0, count, batch):
        reservoir.offer(admit(samples[start : start + batch], Scores.uniform(batch), policy, reservoir.thresholds()))
        assert len(reservoir) <= capacity + batch
        reservoir.trim()
        assert len(reservoir) <= capacity
    assert reservoir.inserts <= 1.1 * capacity * (1 + log(count / capacity))
