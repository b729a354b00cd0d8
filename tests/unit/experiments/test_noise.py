import numpy as np
import pytest

from experiments.noise import Noise, NoiseKind, flipped
from importance.errors import InvalidInput


@pytest.mark.parametrize("kind", NoiseKind)
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.2, 0.4])
def test_exactly_the_rate_is_mislabelled(kind: NoiseKind, rate: float) -> None:
    wrong = flipped(Noise(rate, kind), np.linspace(0, 1, 1_000), np.random.default_rng(1))
    assert wrong.sum() == 1_000 * rate


def test_confusable_noise_falls_on_the_ambiguous_and_uniform_noise_on_all_alike() -> None:
    ambiguity = np.repeat([0.1, 0.9], 5_000)
    shares = {}
    for kind in NoiseKind:
        wrong = flipped(Noise(0.1, kind), ambiguity, np.random.default_rng(2))
        shares[kind] = wrong[5_000:].sum() / wrong.sum()
    assert 0.45 < shares[NoiseKind.UNIFORM] < 0.55
    assert shares[NoiseKind.CONFUSABLE] > 0.85


@pytest.mark.parametrize("rate", [-0.1, 0.5, float("nan")])
def test_a_rate_that_leaves_no_truth_is_refused(rate: float) -> None:
    with pytest.raises(InvalidInput, match=r"at least 0 and below 0\.5"):
        Noise(rate)
