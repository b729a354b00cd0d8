"""How two versions differ."""

import numpy as np
import pytest
import torch

from importance.errors import InvalidInput
from importance.sample import Sample
from trainer.bootstrap import FirstTraining, build
from trainer.difference import prediction_difference, weight_changes
from trainer.labelled import Labelled
from trainer.version_directory import Model

SHOP = [Sample(f"s{n}", f"u{n % 4}", "search", "lamp", f"i{n}", f"lamp number {n}", 0, 0, n) for n in range(20)]


def model(seed: int = 0) -> Model:
    return build(SHOP, FirstTraining(), seed)


def test_the_change_of_weights_is_relative_and_by_module() -> None:
    a, b = model(), model()
    assert set(weight_changes(a, b).values()) == {0.0}
    with torch.no_grad():
        b.network.final.weight.mul_(1.5)
    changes = weight_changes(a, b)
    size = {name: float(each.detach().double().norm()) for name, each in a.network.named_parameters()}
    moved = 0.5 * size["final.weight"]
    own = np.hypot(size["final.weight"], size.get("final.bias", 0.0))
    assert changes["final"] == pytest.approx(moved / own)
    assert changes["all"] == pytest.approx(moved / np.sqrt(sum(each**2 for each in size.values())))
    assert {name for name, change in changes.items() if change} == {"final", "all"}


def test_networks_of_other_shape_are_refused() -> None:
    other = build(SHOP, FirstTraining(max_tokens=16), 0)
    with pytest.raises(InvalidInput, match="different shape"):
        weight_changes(model(), other)


def test_predictions_are_compared_on_the_same_samples() -> None:
    rows = Labelled(SHOP, np.array([0, 1] * 10))
    a = np.linspace(0.1, 0.9, 20)
    found = prediction_difference(rows, a, a + 0.05)
    assert found is not None
    assert (found.samples, found.mean, found.largest) == (20, pytest.approx(0.05), pytest.approx(0.05))
    assert found.rank_correlation == pytest.approx(1.0)
    assert found.auc is not None
    assert found.auc.difference == 0


def test_what_cannot_be_compared_is_left_out() -> None:
    assert prediction_difference(Labelled([], np.empty(0, np.int64)), np.empty(0), np.empty(0)) is None
    found = prediction_difference(Labelled(SHOP, np.zeros(20, np.int64)), np.full(20, 0.5), np.full(20, 0.6))
    assert found is not None
    assert found.auc is None
    assert np.isnan(found.rank_correlation)
