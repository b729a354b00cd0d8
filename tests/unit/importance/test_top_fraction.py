"""The rule that keeps only the best: an exact rate, ties broken by a hash, and no chance for the rest."""

from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from importance.errors import InvalidInput
from importance.hashing import uniforms
from importance.reservoir import AdmissionPolicy, Reservoir, admit
from importance.sample import Sample
from importance.scores import Scores
from importance.selection import TOP_FRACTION, QuantileThreshold, quantile_threshold, top_fraction
from importance.strata import NEGATIVE, STRATA, StrataPolicy
from importance.thresholds import AdmissionThresholds

POLICY = AdmissionPolicy(StrataPolicy("salt", holdout_ratio=0.0, uniform_ratio=0.2), "salt", selection=TOP_FRACTION)


def samples(count: int) -> list[Sample]:
    return [Sample(f"i{number}", f"s{number}", "search", "q", "x", "t", 0, 0, number) for number in range(count)]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_the_cut_lets_exactly_the_fraction_of_what_was_measured_in(scores: list[int], fraction: float) -> None:
    measured = np.array(scores, np.float64)
    cut = quantile_threshold(measured, fraction)
    assert cut is not None
    above = (measured > cut.threshold).sum() + cut.at_threshold * (measured == cut.threshold).sum()
    assert above == pytest.approx(fraction * len(scores))
    assert 0 < cut.at_threshold <= 1


def test_of_scores_without_ties_the_tenth_above_the_90th_percentile_is_in() -> None:
    measured = np.random.default_rng(0).permutation(1_000).astype(np.float64)
    weights = top_fraction(measured, quantile_threshold(measured, 0.1), np.full(1_000, 0.5))
    assert weights.sum() == 100
    assert set(measured[weights == 1]) == set(range(900, 1_000))


def test_counts_that_tie_in_masses_are_let_in_at_the_exact_rate_by_the_hash() -> None:
    """7 % were forgotten once, the rest never: the tenth is those and 3 of the other 93 in a hundred."""
    scores = np.where(np.arange(20_000) % 100 < 7, 1.0, 0.0)
    cut = quantile_threshold(scores, 0.1)
    assert cut is not None
    assert cut.threshold == 0.0
    assert cut.at_threshold == pytest.approx(3 / 93)
    weights = top_fraction(scores, cut, uniforms([f"i{number}" for number in range(20_000)], "salt", "top"))
    assert weights[scores == 1].all()
    assert weights.mean() == pytest.approx(0.1, abs=0.004)  # three standard errors of 18,600 draws


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan")])
def test_a_fraction_that_leaves_nothing_or_too_much_is_refused(fraction: float) -> None:
    with pytest.raises(InvalidInput, match="top fraction is"):
        quantile_threshold(np.ones(3), fraction)


def test_before_anything_was_measured_all_are_in() -> None:
    assert quantile_threshold(np.empty(0), 0.1) is None
    assert top_fraction(np.array([0.0, 5.0]), None, np.array([0.9, 0.9])).tolist() == [1.0, 1.0]


def test_below_the_cut_there_is_no_chance_and_above_it_everybody_has_the_same() -> None:
    batch = samples(400)
    scores = Scores(np.arange(400.0), "entropy", "v1", top_threshold=QuantileThreshold(360.0, 1.0))
    offers = admit(batch, scores, POLICY, AdmissionThresholds())
    ranked = [offer for offer in offers if offer.stratum == NEGATIVE]
    assert all(offer.kept == (offer.importance >= 360) for offer in ranked)
    assert {offer.log_weight for offer in ranked if offer.kept} == {0.0}
    assert {(offer.key, offer.probability) for offer in ranked if not offer.kept} == {(-inf, 0.0)}
    assert all(offer.kept for offer in offers if offer.stratum != NEGATIVE), "plain strata are its floor"


def test_a_buffer_takes_none_of_those_below_the_cut_however_empty_it_is() -> None:
    scores = Scores(np.arange(400.0), "entropy", "v1", top_threshold=QuantileThreshold(360.0, 1.0))
    reservoir = Reservoir(dict.fromkeys(STRATA, 1_000))
    reservoir.offer(admit(samples(400), scores, POLICY, AdmissionThresholds()))
    assert all(row.importance >= 360 for row in reservoir.rows() if row.stratum == NEGATIVE)


def test_scored_again_a_row_that_is_no_longer_in_the_top_goes() -> None:
    batch = samples(50)
    reservoir = Reservoir(dict.fromkeys(STRATA, 1_000))
    reservoir.offer(
        admit(
            batch,
            Scores(np.ones(50), "entropy", "v1", top_threshold=QuantileThreshold(0.5, 1.0)),
            POLICY,
            AdmissionThresholds(),
        )
    )
    reservoir.rescore(
        NEGATIVE,
        lambda rows: Scores(
            np.array([float(row.offset >= 40) for row in rows]), "loss", "v2", top_threshold=QuantileThreshold(1.0, 1.0)
        ),
        POLICY,
    )  # fmt: skip
    assert all(row.sample.offset >= 40 for row in reservoir.rows() if row.stratum == NEGATIVE)


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(InvalidInput, match="one of proportional, top_fraction"):
        AdmissionPolicy(StrataPolicy("salt"), "salt", selection="best")
