"""Always-valid tests: how often they are wrong when read at every step, and how soon they find a difference."""

from math import log

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import quad

from importance.arrays import Floats, Integers
from importance.errors import InvalidInput
from importance.sequential import LOG_DECISIVE, Results, log_non_inferiority, log_superiority

STREAMS = 2_000
MOST_FALSE = 0.05 * STREAMS
COUNTS = st.integers(0, 60)


def streams(seed: int, steps: int, win: float, loss: float, count: int = STREAMS) -> tuple[Integers, Integers]:
    """Wins and losses so far, after each step of many streams: [count, steps]."""
    draws = np.random.default_rng(seed).random((count, steps))
    return np.cumsum(draws < win, axis=1), np.cumsum((draws >= win) & (draws < win + loss), axis=1)


def superiority_at_every_step(wins: Integers, losses: Integers) -> Floats:
    most = int(max(wins.max(), losses.max())) + 1
    table = log_superiority(*np.ogrid[:most, :most])
    return table[wins, losses]


def decided(evidence: Floats) -> int:
    """How many streams reach the decision at some step."""
    return int((evidence.max(axis=1) >= LOG_DECISIVE).sum())


def first(evidence: Floats) -> Floats:
    """Steps until the decision, by stream; infinite where there is none."""
    reached = evidence >= LOG_DECISIVE
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


@given(COUNTS, COUNTS)
@example(10, 900)  # with 1 − betainc and a clip, the evidence for the worse of two models was +4,719
def test_superiority_is_the_likelihood_ratio_of_its_prior(wins: int, losses: int) -> None:
    def ratio(angle: float) -> float:  # θ = sin²: uniform in the angle under Jeffreys' prior
        theta = np.sin(angle) ** 2
        return float(np.exp(wins * np.log(2 * theta) + losses * np.log(2 * (1 - theta)))) if theta < 1 else 0.0

    integral = quad(ratio, np.pi / 4, np.pi / 2 - 1e-12)[0] / (np.pi / 4)
    assert log_superiority(wins, losses) == pytest.approx(log(integral), abs=1e-6)


def test_evidence_stays_a_number_where_counts_are_extreme() -> None:
    assert log_superiority(0, 5_000) == -np.inf
    assert 0 < log_superiority(5_000, 0) < 5_000 * log(2)


@given(COUNTS, COUNTS, st.integers(0, 300))
def test_non_inferiority_is_the_mean_of_the_bets(wins: int, losses: int, ties: int) -> None:
    margin = 0.02
    results = np.random.default_rng(wins).permutation([1] * wins + [-1] * losses + [0] * ties)
    bets = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8]) * 0.99 / (1 - margin)
    product = np.mean([np.prod(1 + bet * (results + margin)) for bet in bets])
    assert Results(wins, losses, ties).log_non_inferiority(margin) == pytest.approx(log(product), abs=1e-9)


@given(COUNTS, COUNTS)
def test_the_mirror_image_is_the_same_test_of_the_other_model(wins: int, losses: int) -> None:
    assert Results(wins, losses, 7).log_inferiority == Results(losses, wins).log_superiority


@pytest.mark.parametrize("win", [0.5, 0.49, 0.3])
def test_at_most_one_null_stream_in_twenty_is_called_superior_with_a_look_at_every_step(win: float) -> None:
    wins, losses = streams(1, 1_000, win, 1 - win)
    false = decided(superiority_at_every_step(wins, losses))
    assert false <= MOST_FALSE
    assert (false > 0) == (win > 0.4)  # the test could fail: it comes near its level at the boundary


def test_a_naive_test_with_a_look_at_every_step_is_wrong_far_more_often() -> None:
    wins, losses = streams(1, 1_000, 0.5, 0.5)
    z = (wins - losses) / np.sqrt(wins + losses)
    assert (z[:, 20:].max(axis=1) > 1.645).sum() > 5 * MOST_FALSE


@pytest.mark.parametrize(("win", "loss"), [(0.04, 0.06), (0.19, 0.21)])
def test_at_most_one_stream_in_twenty_at_the_margin_is_called_non_inferior(win: float, loss: float) -> None:
    wins, losses = streams(2, 600, win, loss)
    ties = np.arange(1, 601) - wins - losses
    assert decided(log_non_inferiority(wins, losses, ties, margin=0.02)) <= MOST_FALSE


def test_two_points_more_are_found_about_as_soon_as_theory_says() -> None:
    for discordance, median in ((0.04, 600), (0.10, 1_702)):
        win = discordance / 2 + 0.01
        wins, losses = streams(3, 5_000, win, discordance - win, count=200)
        found = np.median(first(superiority_at_every_step(wins, losses)))
        assert 0.8 * median < found < 1.25 * median


def test_equal_models_pass_as_non_inferior() -> None:
    wins, losses = streams(4, 5_000, 0.05, 0.05, count=100)
    last = slice(99, None, 100)  # a look every hundred steps
    ties = np.arange(1, 5_001) - wins - losses
    assert decided(log_non_inferiority(wins[:, last], losses[:, last], ties[:, last], margin=0.02)) >= 90


def test_events_of_one_subject_must_be_one_result() -> None:
    """Ten copies of each result: five in a hundred at most would be false, were they independent."""
    wins, losses = streams(5, 100, 0.5, 0.5)
    assert decided(superiority_at_every_step(wins, losses)) <= MOST_FALSE
    assert decided(log_superiority(10 * wins, 10 * losses)) > 5 * MOST_FALSE


@pytest.mark.parametrize("margin", [0.0, 1.0, -0.02, float("nan")])
def test_a_margin_that_bets_nothing_is_refused(margin: float) -> None:
    with pytest.raises(InvalidInput, match="margin"):
        log_non_inferiority(1, 1, 1, margin)


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least 0"):
        Results(-1)
