"""What the draw promises on average. Seeds are fixed, so a test here passes always or never.

The replicates differ in the salt alone, and the numbers come from the code that the worker runs.
"""

from collections.abc import Callable
from itertools import combinations
from math import comb, log

import numpy as np
import pytest
from scipy import stats

from importance.hashing import uniforms
from importance.reservoir import AdmissionPolicy, Reservoir, admit, inclusion_probability
from importance.sample import Sample
from importance.scores import Scores
from importance.strata import NEGATIVE, StrataPolicy

ONE_STRATUM = StrataPolicy("salt", holdout_ratio=0.0, uniform_ratio=0.0)
Probability = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


def stream(count: int) -> list[Sample]:
    return [
        Sample(f"id-{number}", "s", "search", "q", "i", "t", time_ms=number * 1_000, partition=0, offset=number)
        for number in range(count)
    ]


def by_threshold(weights: np.ndarray, held: np.ndarray, kappa: float) -> np.ndarray:
    return np.array([inclusion_probability(log_weight, kappa) for log_weight in np.log(weights[held]).tolist()])


def by_share_of_the_weight(weights: np.ndarray, held: np.ndarray, kappa: float) -> np.ndarray:
    """What one would write down first, and what is wrong."""
    return np.minimum(1, len(held) * weights[held] / weights.sum())


def estimates(
    weights: np.ndarray, values: np.ndarray, places: int, repeats: int, probability: Probability
) -> tuple[np.ndarray, np.ndarray]:
    """F̂ = Σ f/p and V̂ = Σ f²(1 − p)/p², [repeats, columns of values], each of a draw of one stratum."""
    ids, log_weights = [f"id-{number}" for number in range(len(weights))], np.log(weights)
    totals, variances = np.empty((repeats, values.shape[1])), np.empty((repeats, values.shape[1]))
    for repeat in range(repeats):
        keys = log_weights - np.log(uniforms(ids, f"salt {repeat}", "draw"))
        order = np.argpartition(-keys, places)
        p, f = probability(weights, order[:places], float(keys[order[places]])), values[order[:places]]
        totals[repeat], variances[repeat] = (1 / p) @ f, ((1 - p) / p**2) @ f**2
    return totals, variances


def z_of(totals: np.ndarray, truth: float) -> float:
    return float((totals.mean() - truth) / (totals.std(ddof=1) / np.sqrt(len(totals))))


def test_totals_are_estimated_without_bias_and_so_is_their_variance() -> None:
    random = np.random.default_rng(1)
    weights = random.lognormal(sigma=1.0, size=300)
    a_count, a_rare_label = np.ones(300), random.uniform(size=300) < 0.1
    grows_with_the_weight, shrinks_with_it = weights * random.uniform(0.5, 1.5, 300), 1 / weights
    values = np.column_stack([a_count, a_rare_label, grows_with_the_weight, shrinks_with_it])
    totals, variances = estimates(weights, values, places=60, repeats=10_000, probability=by_threshold)
    for column, value in enumerate(values.T):
        assert abs(z_of(totals[:, column], value.sum())) < 4
        assert 0.95 < variances[:, column].mean() / totals[:, column].var(ddof=1) < 1.05


def test_the_probability_that_forgets_the_threshold_is_caught() -> None:
    """The negative control: lognormal weights of σ = 2, no floor, 200 of 2,000 kept, f = 1: about +60 %."""
    weights, ones = np.random.default_rng(2).lognormal(sigma=2.0, size=2_000), np.ones((2_000, 1))
    wrongly, _ = estimates(weights, ones, 200, 100, by_share_of_the_weight)
    rightly, _ = estimates(weights, ones, 200, 100, by_threshold)
    assert wrongly.mean() / 2_000 > 1.4
    assert z_of(wrongly, 2_000) > 4
    assert abs(z_of(rightly, 2_000)) < 4


def test_the_whole_path_through_door_and_trims_is_unbiased() -> None:
    """Samples offered in batches with decay, floor and scores, to a door that closes as they come."""
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
            reservoir.offer(offer for offer in admit(samples[part], scored, policy, reservoir.door()) if offer.kept)
            reservoir.trim()
        totals[repeat] = sum(values[row.sample.offset] / row.probability for row in reservoir.rows())
    assert abs(z_of(totals, values.sum())) < 4


def exact_pairs(weights: np.ndarray) -> np.ndarray:
    """P(the two largest keys are those of i and j) = ∫ P(key_i > x) P(key_j > x) dH(x), for each pair.

    H is the distribution of the largest key of the others; P(key > x) = min(1, w·exp(−x)).
    """
    x = np.linspace(np.log(weights.min()) - 1, np.log(weights.max()) + 14, 200_001)
    above = np.minimum(1, weights[:, None] * np.exp(-x))
    probabilities = []
    for pair in combinations(range(len(weights)), 2):
        others = np.delete(np.arange(len(weights)), pair)
        of_both = above[pair[0]] * above[pair[1]]
        largest = np.prod(1 - above[others], axis=0)
        probabilities.append(np.sum((of_both[1:] + of_both[:-1]) / 2 * np.diff(largest)))
    return np.array(probabilities)


def successive_pairs(weights: np.ndarray) -> np.ndarray:
    """The same by Plackett and Luce: drawn one after the other in proportion to weight."""
    share = weights / weights.sum()
    pairs = combinations(range(len(weights)), 2)
    return np.array([share[i] * share[j] * (1 / (1 - share[i]) + 1 / (1 - share[j])) for i, j in pairs])


def test_pairs_are_held_as_often_as_priority_sampling_says_and_not_as_successive_draws() -> None:
    weights, repeats = np.array([1.0, 2.0, 3.0, 5.0, 8.0, 13.0]), 40_000
    ids = [f"{repeat}/{number}" for repeat in range(repeats) for number in range(6)]
    keys = np.log(weights) - np.log(uniforms(ids, "salt", "draw")).reshape(repeats, 6)
    held = np.sort(np.argsort(-keys, axis=1)[:, :2], axis=1)
    seen = np.array([np.sum((held[:, 0] == i) & (held[:, 1] == j)) for i, j in combinations(range(6), 2)])
    expected = exact_pairs(weights)
    assert len(seen) == comb(6, 2) == 15
    assert expected.sum() == pytest.approx(1, abs=1e-4)
    assert stats.chisquare(seen, expected / expected.sum() * repeats).pvalue > 0.001
    assert stats.chisquare(seen, successive_pairs(weights) * repeats).pvalue < 1e-9


def test_a_million_offers_into_10_000_places_are_few_inserts() -> None:
    """About k(1 + ln(N/k)) = 56,052: the work for each event falls as the stream grows."""
    places, count, batch = 10_000, 1_000_000, 500
    keys = -np.log(uniforms((str(number) for number in range(count)), "salt", "draw"))
    pool, kappa, inserts = np.empty(0), -np.inf, 0
    for start in range(0, count, batch):
        offered = keys[start : start + batch]
        entering = offered[offered > kappa]
        inserts += len(entering)
        pool = np.concatenate([pool, entering])
        if len(pool) > places:
            parted = np.partition(pool, len(pool) - places - 1)
            pool, kappa = parted[len(pool) - places :], float(parted[len(pool) - places - 1])
    assert inserts <= 1.1 * places * (1 + log(count / places))
    assert len(pool) == places


def test_the_buffer_in_memory_inserts_no_more_than_the_law_says() -> None:
    places, count, batch = 300, 30_000, 50
    policy, reservoir = AdmissionPolicy(ONE_STRATUM, "salt"), Reservoir({NEGATIVE: places})
    samples = stream(count)
    for start in range(0, count, batch):
        reservoir.offer(admit(samples[start : start + batch], Scores.uniform(batch), policy, reservoir.door()))
        assert len(reservoir) <= places + batch
        reservoir.trim()
        assert len(reservoir) <= places
    assert reservoir.inserts <= 1.1 * places * (1 + log(count / places))
