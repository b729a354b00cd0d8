"""Estimators that compare a sample with the state of its model version; see `state` for how that is computed."""

import torch
from torch import Tensor
from torch.nn import functional

from importance.estimators.base import Forward


def rho(forward: Forward) -> Tensor:
    """Return max(0, ℓ(θ) − ℓ(θ_holdout)): what is still to be learned, and can be (RHO-LOSS, Mindermann et al. 2022).

    θ_holdout is the model with a last layer of its own, fitted to samples that selection never ranks.
    """
    return (forward.loss - holdout_forward(forward).loss).clamp(min=0)


def p_holdout(forward: Forward) -> Tensor:
    """Return the probability of the label by θ_holdout, p(y | x) [n]: the guard against wrong labels."""
    return torch.exp(-holdout_forward(forward).loss)


def learnability(forward: Forward) -> Tensor:
    """Return max(0, ℓ(θ) − ℓ(θ_average)): worse than the moving average of the model's own weights."""
    assert forward.average_logits is not None
    return (forward.loss - Forward(forward.average_logits, labels=forward.labels).loss).clamp(min=0)


def forgetting(forward: Forward) -> Tensor:
    """Return how often training went from right to wrong on this (query, item); 0 if never met (Toneva et al. 2019)."""
    state = forward.state
    assert forward.pairs is not None
    assert state.met is not None
    assert state.forgotten is not None
    if not len(state.met):
        return torch.zeros(len(forward.pairs), device=forward.pairs.device)
    index = torch.searchsorted(state.met, forward.pairs).clamp(max=len(state.met) - 1)
    return torch.where(state.met[index] == forward.pairs, state.forgotten[index], 0)


def tracin(forward: Forward) -> Tensor:
    """Return max(0, eᵀ(G_val h + ē_val)): how far a step on the sample lowers the validation loss (Pruthi et al. 2020).

    In the last layer, where it has a closed form; without bias ē_val is omitted.
    """
    assert forward.state.validation is not None
    validation = forward.state.validation.to(forward.inputs.dtype)
    toward = forward.inputs @ validation[:, :-1].T
    if forward.has_bias:
        toward = toward + validation[:, -1]
    return (forward.error * toward).sum(dim=1).clamp(min=0)


def gradient_alignment(forward: Forward) -> Tensor:
    """Return max(0, cos) of the projected gradient and that of the validation samples (LESS, Xia et al. 2024)."""
    assert forward.projection is not None
    assert forward.state.direction is not None
    toward = functional.normalize(forward.state.direction.to(forward.projection.dtype), dim=0)
    # By the largest entry first: the squares of a sure sample's gradient would be 0 in float32.
    scale = forward.projection.abs().amax(dim=1, keepdim=True)
    scaled = forward.projection / scale.clamp(min=torch.finfo(scale.dtype).tiny)
    cosine: Tensor = scaled @ toward / torch.linalg.vector_norm(scaled, dim=1).clamp(min=1)
    return cosine.clamp(min=0)


def novelty(forward: Forward) -> Tensor:
    """Return the distance from h to the nearest centre (k-center: Sener & Savarese 2018)."""
    assert forward.state.centres is not None
    centres = forward.state.centres.to(forward.inputs.dtype)
    # Not by ‖a‖² − 2ab + ‖b‖²: its digits are gone where a point lies at a centre.
    distance = torch.cdist(forward.inputs, centres, compute_mode="donot_use_mm_for_euclid_dist")
    nearest: Tensor = distance.amin(dim=1)
    return nearest


def holdout_forward(forward: Forward) -> Forward:
    """Return the same pass with the last layer of θ_holdout."""
    assert forward.state.holdout is not None
    head = forward.state.holdout.to(forward.inputs.dtype)
    return Forward(forward.inputs @ head[:, :-1].T + head[:, -1], labels=forward.labels)
