"""Laws of what keeps a fine-tune near what the model knew."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from importance.errors import InvalidInput
from importance.sample import Sample
from tests.unit.trainer.tuning.cases import SMALL, parameters, rows_of, same
from trainer import version_directory as versions
from trainer.forward import predict
from trainer.memory import weights_of
from trainer.tuning import fine_tune
from trainer.tuning.retention import distances, from_start, interpolated, logits_of
from trainer.version_directory import Model


def tuned_by(first: Path, samples: list[Sample], labels: np.ndarray, share: float = 0.5, **options: float) -> Model:
    model = versions.load(first)
    rows = replace(rows_of(samples, 1 - labels), predictions=predict(model, samples))
    tuning = replace(SMALL, steps=20, fresh_share=share, optimisation=replace(SMALL.optimisation, **options))
    return fine_tune(model, rows, tuning, seed=1).model


def test_stored_logits_hold_replayed_predictions_and_leave_fresh_ones_alone(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    before = predict(versions.load(first), samples)
    moved = {
        weight: np.abs(predict(tuned_by(first, samples, labels, stored_logits=weight), samples) - before).mean()
        for weight in (0.0, 1.0)
    }
    assert moved[1.0] < 0.7 * moved[0.0]
    fresh = [tuned_by(first, samples, labels, share=1.0, stored_logits=weight) for weight in (0.0, 1.0)]
    assert same(*map(parameters, fresh))


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_distance_is_that_of_the_margins_and_none_without_a_stored_logit(outputs: int) -> None:
    logits = torch.tensor([[1.0, 3.0], [0.5, -1.5], [2.0, 2.0]])[:, :outputs].requires_grad_()
    stored = torch.from_numpy(logits_of(np.array([0.5, 1.0, np.nan]))).float()
    margins = [1.0, 0.5] if outputs == 1 else [2.0, -2.0]
    found = distances(logits, stored)
    expected = torch.tensor([margins[0] ** 2, (margins[1] - float(np.log(1e6))) ** 2, 0.0])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.autograd.backward(found.sum())
    assert logits.grad is not None
    assert not logits.grad[2].any()


def test_the_pull_of_the_start_is_the_distance_from_it(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    start = weights_of(versions.load(first))
    assert from_start({"a": torch.tensor([3.0, 1.0])}, {"a": torch.tensor([1.0, 0.0])}).item() == 2.5
    models = [tuned_by(first, samples, labels, from_start=weight) for weight in (0.0, 10.0)]
    far, near = (float(from_start(weights_of(model), start)) for model in models)
    assert near < 0.5 * far


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_interpolated_weights_are_the_convex_combination(first: Path, second: Path, share: float) -> None:
    serving, model = versions.load(first), versions.load(second)
    model.network.compare.weight.data.add_(1.0)
    tuned = weights_of(model)
    found = weights_of(interpolated(model, weights_of(serving), share))
    for name, anchor in weights_of(serving).items():
        torch.testing.assert_close(found[name], (1 - share) * anchor + share * tuned[name], rtol=1e-6, atol=1e-6)
    if share in (0.0, 1.0):
        assert same(found, tuned if share else weights_of(serving))


def test_interpolation_with_another_network_is_refused(first: Path) -> None:
    with pytest.raises(InvalidInput, match="another network"):
        interpolated(versions.load(first), {"a": torch.zeros(1)}, 0.5)
