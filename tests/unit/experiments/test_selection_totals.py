import numpy as np

from experiments.policies import choose, policy
from experiments.selection_totals import SelectionTotals
from importance.estimates import share


def _shares(name: str, seed: int) -> dict[str, float]:
    """Wrong labels, a fifth, score twice as high; ten rounds of a tenth."""
    random, totals = np.random.default_rng(seed), SelectionTotals()
    for _ in range(10):
        wrong = random.random(2_000) < 0.2
        chosen = choose(policy(name), random.exponential(1 + wrong), 200, random)
        totals.add(chosen, wrong[chosen.positions])
    return totals.noise()


def test_weighting_by_the_chance_undoes_the_overdrawing_of_wrong_labels() -> None:
    shares = [_shares("last_layer_norm", seed) for seed in range(40)]
    assert np.mean([share["noise_raw"] for share in shares]) > 0.26
    assert abs(np.mean([share["noise_weighted"] for share in shares]) - 0.2) < 0.005
    held = [share["noise_low"] <= 0.2 <= share["noise_high"] for share in shares]
    assert np.mean(held) >= 0.85


def test_without_weights_the_loss_sees_the_share_as_drawn() -> None:
    shares = _shares("last_layer_norm_unweighted", 0)
    assert shares["noise_loss"] == shares["noise_raw"] > shares["noise_weighted"]


def test_the_interval_of_the_share_is_the_one_that_estimates_of_the_buffer_have() -> None:
    random, totals, drawn = np.random.default_rng(3), SelectionTotals(), []
    for _ in range(4):
        wrong = random.random(500) < 0.2
        chosen = choose(policy("loss"), random.exponential(1 + wrong), 100, random)
        totals.add(chosen, wrong[chosen.positions])
        drawn.append((wrong[chosen.positions], chosen.probability))
    wrong, probability = map(np.concatenate, zip(*drawn, strict=True))
    found, kept = share(wrong, probability), totals.noise()
    assert (kept["noise_weighted"], kept["noise_low"], kept["noise_high"]) == (found.value, found.low, found.high)
