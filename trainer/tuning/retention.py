"""What keeps a fine-tune near what the model knew: stored logits, the start's weights, the serving weights."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from importance.errors import InvalidInput
from trainer.version_directory import Model, Weights

_SURE = 1e-6  # a stored prediction is read as no surer than that: its logit is then within ±13.8


def logits_of(predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ln p − ln(1 − p) of stored predictions [n]; NaN where none was stored.

    >>> logits_of(np.array([0.5, np.nan])).tolist()
    [0.0, nan]
    """
    clipped = np.clip(predictions, _SURE, 1 - _SURE)
    return np.log(clipped) - np.log1p(-clipped)


def distances(logits: Tensor, stored: Tensor) -> Tensor:
    """Return (m − m')² [n] of the margins of logits [n, 1 or 2] to stored ones [n]; 0 where that is NaN.

    The term of DER++, Buzzega et al. 2020, arXiv:2004.07211.
    """
    logits = logits.float()
    margins = logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits[:, 0]
    return (margins - torch.where(stored.isnan(), margins.detach(), stored)) ** 2


def from_start(now: Weights, start: Weights) -> Tensor:
    """Return ½ Σ (w − w₀)² over the weights that are trained: L2-SP, Li et al. 2018, arXiv:1802.01483."""
    return torch.stack([((now[name] - start[name]) ** 2).sum() for name in start]).sum() / 2


@torch.no_grad()
def interpolated(model: Model, anchor: Weights, share: float) -> Model:
    """Return the model with weights a + share · (own − a), a the anchor's: Wortsman et al. 2022, arXiv:2109.01903."""
    if share == 1:
        return model
    own = dict(model.network.named_parameters())
    if {name: weight.shape for name, weight in anchor.items()} != {name: weight.shape for name, weight in own.items()}:
        raise InvalidInput("the serving version is of another network: set WEIR_TRAIN_INTERPOLATION to 1")
    for name, weight in own.items():
        weight.copy_(torch.lerp(anchor[name], weight, share))
    return replace(model)
