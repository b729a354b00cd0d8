import numpy as np
import pytest

from experiments.policies import POLICIES, Policy, Strategy, choose, policy
from importance.errors import InvalidInput

SCORES = np.random.default_rng(5).lognormal(sigma=1.5, size=400)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_keeps_exactly_what_it_is_reported_and_nothing_twice(name: str) -> None:
    chosen = choose(POLICIES[name], SCORES, 40, np.random.default_rng(0))
    assert len(set(chosen.positions.tolist())) == 40
    assert abs(chosen.weights.mean() + chosen.clipped_mass - 1) < 1e-12
    assert bool(np.all((chosen.probability > 0) & (chosen.probability <= 1)))


def test_what_is_drawn_in_proportion_estimates_totals_of_all_candidates_without_bias() -> None:
    value = SCORES + 1
    draws = [choose(policy("last_layer_norm"), SCORES, 40, np.random.default_rng(seed)) for seed in range(2_000)]
    totals = np.array([(value[draw.positions] / draw.probability).sum() for draw in draws])
    z = (totals.mean() - value.sum()) / (totals.std(ddof=1) / np.sqrt(len(totals)))
    assert abs(z) < 4


def test_the_top_rule_takes_the_largest_and_breaks_ties_at_random() -> None:
    scores = np.array([0.0, 3.0, 1.0, 1.0, 1.0, 1.0])
    taken = [
        choose(policy("loss_top"), scores, 2, np.random.default_rng(seed)).positions.tolist() for seed in range(50)
    ]
    assert all(1 in places for places in taken)
    assert {place for places in taken for place in places} == {1, 2, 3, 4, 5}


def test_any_estimator_or_sum_names_a_policy_and_an_unknown_one_is_refused() -> None:
    assert policy("rho+entropy").strategy is Strategy.PROPORTIONAL
    with pytest.raises(InvalidInput, match="unknown estimator 'entrpy'"):
        policy("entrpy")


def test_only_a_draw_of_known_chance_may_be_weighted() -> None:
    with pytest.raises(InvalidInput, match="only the strategy proportional has weights"):
        Policy("mine", "loss", Strategy.TOP, weighted=True)


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("rs2", 0), ("last_layer_norm", 1), ("gradient_output", 2), ("learnability", 2),
        ("gradient_output+gradient_norm", 3),
    ],
)  # fmt: skip
def test_scoring_costs_a_pass_and_one_more_for_each_backward_pass_or_a_second_model(name: str, passes: int) -> None:
    assert policy(name).cost == passes
