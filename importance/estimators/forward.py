"""Estimators that cost one forward pass, of which the logits (and the last hidden vectors) are all they read."""

import torch
from torch import Tensor

from importance.estimators.base import Forward, row_norm


def uniform(forward: Forward) -> Tensor:
    """Return 1 for every sample.

    >>> uniform(Forward(torch.zeros(2, 1))).tolist()
    [1.0, 1.0]
    """
    return torch.ones(len(forward.logits), device=forward.logits.device)


def entropy(forward: Forward) -> Tensor:
    """Return −Σ p log p, in nats.

    >>> entropy(Forward(torch.zeros(1, 4)))
    tensor([1.3863])
    """
    seen = forward.relative
    # Where p underflows to 0 its surprise is large and finite, so the product is 0, as the limit is.
    return (seen.ratio / (1 + seen.rest) * (torch.log1p(seen.rest) - seen.below)).sum(dim=1)


def confidence(forward: Forward) -> Tensor:
    """Return 1 − max p (least confidence), as S / (1 + S).

    >>> confidence(Forward(torch.tensor([[0.0]])))
    tensor([0.5000])
    """
    rest = forward.relative.rest
    return (rest / (1 + rest)).squeeze(1)


def margin(forward: Forward) -> Tensor:
    """Return 1 − (p₍₁₎ − p₍₂₎), the two largest probabilities, as (S + r₍₂₎) / (1 + S) with r relative to the largest.

    >>> margin(Forward(torch.tensor([[1.0, 1.0, -50.0]])))
    tensor([1.])
    """
    seen = forward.relative
    second = seen.ratio.scatter(1, seen.top, 0.0).amax(dim=1, keepdim=True)
    return ((seen.rest + second) / (1 + seen.rest)).squeeze(1)


def loss(forward: Forward) -> Tensor:
    """Return −log p_y, in nats (Loshchilov & Hutter 2015).

    >>> loss(Forward(torch.tensor([[0.0]]), labels=torch.tensor([1])))
    tensor([0.6931])
    """
    return forward.loss


def el2n(forward: Forward) -> Tensor:
    """Return ‖p − onehot(y)‖₂, of one logit too over its two classes: √2·|σ − y| (Paul et al. 2021).

    >>> el2n(Forward(torch.tensor([[0.0]]), labels=torch.tensor([1])))
    tensor([0.7071])
    """
    norm = row_norm(forward.error)
    return norm * 2**0.5 if forward.logits.shape[1] == 1 else norm


def output_norm(forward: Forward) -> Tensor:
    """Return ‖z‖₂, the L2 norm of the output.

    >>> output_norm(Forward(torch.tensor([[3.0, 4.0]])))
    tensor([5.])
    """
    return row_norm(forward.logits)


def last_layer_norm(forward: Forward) -> Tensor:
    """Return ‖e‖·√(‖h‖² + 1): the exact norm of the loss's gradient in the last layer's weight and bias.

    Without bias the + 1 is omitted. For one logit e is the scalar σ − y. Katharopoulos & Fleuret 2018.

    >>> last_layer_norm(Forward(torch.tensor([[0.0]]), torch.tensor([[3.0, 4.0]]), has_bias=False,
    ...                         labels=torch.tensor([1])))
    tensor([2.5000])
    """
    inputs: Tensor = torch.linalg.vector_norm(forward.inputs, dim=1)
    if forward.has_bias:
        inputs = torch.hypot(inputs, torch.ones_like(inputs))
    return row_norm(forward.error) * inputs
