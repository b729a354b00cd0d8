"""What samples add to blocks: exact sums, whatever the batches and partitions."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importance.drift.block import Block
from importance.drift.features import Categories, Choices, Feature, Histogram, Mean, RandomFourier
from importance.errors import InvalidInput

NAMES = ("none", "click", "purchase")
CASES: dict[str, tuple[Feature, Callable[[np.random.Generator, int], Any]]] = {
    "mean": (Mean(), lambda random, n: random.gamma(1, 0.5, n)),
    "histogram": (Histogram.logarithmic(0.01, 100, 20), lambda random, n: random.lognormal(0, 3, n)),
    "log odds": (Histogram.log_odds(0.999, 20), lambda random, n: random.beta(1, 20, n)),
    "categories": (Categories(8), lambda random, n: [f"c{i}" for i in random.integers(0, 50, n)]),
    "choices": (Choices(NAMES), lambda random, n: [NAMES[i] for i in random.integers(0, 3, n)]),
    "random Fourier": (RandomFourier(16), lambda random, n: random.standard_normal((n, 5))),
}
every_feature = pytest.mark.parametrize(("feature", "draw"), CASES.values(), ids=CASES.keys())


def rows(values: Any, chosen: np.ndarray) -> Any:
    """Some of the values, of whatever kind."""
    return values[chosen] if isinstance(values, np.ndarray) else [values[index] for index in chosen]


@every_feature
@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_partitions_and_batches_add_up_exactly(feature: Feature, draw: Any, seed: int) -> None:
    random = np.random.default_rng(seed)
    values, block = draw(random, 300), random.integers(0, 4, 300)
    whole = feature.blocks(values, block)
    order = random.permutation(300)
    merged: dict[int, Block] = {}
    for part in np.array_split(order, np.sort(random.integers(0, 300, 7))):
        for number, added in feature.blocks(rows(values, part), block[part]).items():
            merged[number] = added + merged[number] if number in merged else added
    assert merged.keys() == whole.keys()
    for number, expected in whole.items():
        assert merged[number].count == expected.count
        assert merged[number].sums.tolist() == expected.sums.tolist()


@every_feature
def test_every_block_has_its_samples_and_dimensions(feature: Feature, draw: Any) -> None:
    random = np.random.default_rng(1)
    block = np.array([7, 3, 7, 7])
    found = feature.blocks(draw(random, 4), block)
    assert {number: own.count for number, own in found.items()} == {3: 1, 7: 3}
    assert all(own.sums.shape == (feature.dimensions,) for own in found.values())
    assert feature.blocks(rows(draw(random, 4), np.empty(0, np.int64)), np.empty(0, np.int64)) == {}


@every_feature
def test_every_value_needs_its_block(feature: Feature, draw: Any) -> None:
    with pytest.raises(InvalidInput, match="4 values and blocks of shape"):
        feature.blocks(draw(np.random.default_rng(1), 4), np.zeros(3, np.int64))


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("feature", [Mean(), Histogram((1.0,)), RandomFourier()])
def test_a_value_that_is_not_finite_is_refused(feature: Feature, wrong: float) -> None:
    values = np.array([0.5, wrong])
    with pytest.raises(InvalidInput, match="must be finite"):
        feature.blocks(values[:, None] if isinstance(feature, RandomFourier) else values, np.zeros(2, np.int64))


def test_counts_add_up_to_the_samples() -> None:
    random = np.random.default_rng(2)
    for name in ("histogram", "log odds", "categories", "choices"):
        feature, draw = CASES[name]
        [block] = feature.blocks(draw(random, 100), np.zeros(100, np.int64)).values()
        assert block.sums.sum() == block.count == 100


def test_random_features_approximate_the_gaussian_kernel() -> None:
    random = np.random.default_rng(3)
    unit = random.standard_normal((40, 10))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    blocks = RandomFourier(20_000, bandwidth=0.8).blocks(unit * 3, np.arange(40))  # the length does not matter
    features = np.stack([blocks[number].sums for number in range(40)])
    distances = ((unit[:, None] - unit) ** 2).sum(axis=2)
    assert np.allclose(features @ features.T, np.exp(-distances / (2 * 0.8**2)), atol=0.04)


def test_a_vector_of_zeros_is_a_value() -> None:
    assert np.isfinite(RandomFourier().blocks(np.zeros((1, 3)), np.zeros(1, np.int64))[0].sums).all()


def test_equal_widths_in_log_odds_reach_rare_and_sure_predictions() -> None:
    edges = np.array(Histogram.log_odds(0.99, 5).edges)
    assert edges == pytest.approx([0.01, 0.0913, 0.5, 0.9087, 0.99], abs=1e-4)


@pytest.mark.parametrize("edges", [(), (1.0, 1.0), (2.0, 1.0), (float("nan"),), (float("inf"),)])
def test_edges_that_make_no_bins_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInput, match="must be finite and rise"):
        Histogram(edges)


def test_an_unknown_choice_is_refused() -> None:
    with pytest.raises(InvalidInput, match="'view' is not one of none, click, purchase"):
        Choices(NAMES).blocks(["none", "view"], np.zeros(2, np.int64))
