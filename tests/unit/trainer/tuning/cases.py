"""A small fine-tune, and how two models are compared."""

from dataclasses import replace

import numpy as np
import torch

from importance.sample import Sample
from trainer.bootstrap import FirstTraining, build
from trainer.model import InteractionModel
from trainer.tuning import FineTuning, Optimisation, TrainingRows
from trainer.version_directory import Model

SMALL = FineTuning(steps=4, optimisation=Optimisation(batch_size=16))


def without_dropout(samples: list[Sample]) -> Model:
    """The built-in network as it is drawn, whose output does not depend on how a batch is divided."""
    model = build(samples, FirstTraining(vocabulary=120), seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return replace(model, network=InteractionModel(replace(model.network.shape, dropout=0.0)))


def rows_of(samples: list[Sample], labels: np.ndarray, weights: np.ndarray | None = None) -> TrainingRows:
    fresh = np.arange(len(samples)) >= len(samples) // 2
    return TrainingRows(samples, labels, np.ones(len(samples)) if weights is None else weights, fresh)


def parameters(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.network.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)
