"""A small fine-tune, and how two models are compared."""

import numpy as np
import torch

from importance.sample import Sample
from trainer.tuning import FineTuning, Optimisation, TrainingRows
from trainer.version_directory import Model

SMALL = FineTuning(steps=4, optimisation=Optimisation(batch_size=16))


def rows_of(samples: list[Sample], labels: np.ndarray, weights: np.ndarray | None = None) -> TrainingRows:
    fresh = np.arange(len(samples)) >= len(samples) // 2
    return TrainingRows(samples, labels, np.ones(len(samples)) if weights is None else weights, fresh)


def parameters(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)
