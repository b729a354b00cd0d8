"""Estimators that read gradients: of activations, by one backward pass here; of weights, as the pass computed them."""

import torch
from torch import Tensor

from importance.errors import InvalidInput
from importance.estimators.base import Forward, row_norm, two_or_more


def gradient_output(forward: Forward) -> Tensor:
    """Return ‖∂ŷ/∂x‖_F · ŷ, x the word-embedding output over unmasked tokens; ŷ = max p, or σ for one logit.

    The article's example, a scalar input: gradient 0.2 times output 0.8.

    >>> x = torch.zeros(1, 1, 1, requires_grad=True)
    >>> logits = (torch.logit(torch.tensor(0.8)) + 1.25 * x).view(1, 1)  # σ' = 0.8 · 0.2, times 1.25 = 0.2
    >>> gradient_output(Forward(logits, embeddings=x))
    tensor([0.1600])
    """
    output, by_logits = _output(forward.logits.detach())
    return _embedding_norm(forward, by_logits) * output


def input_gradient(forward: Forward) -> Tensor:
    """Return ‖∂ℓ/∂x‖₂, x the word-embedding output over unmasked tokens (the saliency family: Simonyan et al. 2014).

    >>> x = torch.zeros(1, 1, 1, requires_grad=True)
    >>> input_gradient(Forward((4 * x).view(1, 1), embeddings=x, labels=torch.tensor([1])))  # |σ − y| = 0.5, times 4
    tensor([2.])
    """
    return _embedding_norm(forward, forward.error)


def gradient_norm(forward: Forward) -> Tensor:
    """Return ‖∇_θ ℓ‖₂, exact (Goodfellow 2015).

    >>> gradient_norm(Forward(torch.zeros(1, 1), gradient_norm=torch.tensor([2.0])))
    tensor([2.])
    """
    assert forward.gradient_norm is not None
    return forward.gradient_norm


def grand(forward: Forward) -> Tensor:
    """Return the mean of ‖∇_θ ℓ‖₂ over checkpoints (Paul et al. 2021).

    >>> grand(Forward(torch.zeros(1, 1), gradient_norm=torch.tensor([2.0]), earlier_norms=torch.tensor([[4.0]])))
    tensor([3.])
    """
    assert forward.gradient_norm is not None
    assert forward.earlier_norms is not None
    return torch.cat([forward.gradient_norm.unsqueeze(1), forward.earlier_norms], dim=1).mean(dim=1)


def _embedding_norm(forward: Forward, by_logits: Tensor) -> Tensor:
    """Return the norm [n], over unmasked tokens, of the embeddings' gradient that ``by_logits`` [n, C] causes."""
    logits, x = forward.logits, forward.embeddings
    assert x is not None
    if not x.requires_grad or not logits.requires_grad:
        raise InvalidInput(
            "a gradient of the input needs logits computed, with gradients on, from embeddings that require grad"
        )
    # One pass for the whole batch: a row's output depends on that row's embeddings only.
    (gradient,) = torch.autograd.grad(logits, x, grad_outputs=by_logits.to(logits.dtype), retain_graph=True)
    if forward.mask is not None:
        gradient = gradient.masked_fill(~forward.mask.bool().unsqueeze(-1), 0.0)
    return row_norm(gradient)


def _output(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return ŷ [n] and ∂ŷ/∂z [n, C] in closed form: autograd's (1 − σ)σ is 0 in float32 from z = 17 on."""
    if logits.shape[1] == 1:
        z = two_or_more(logits)[:, 1:]
        return torch.sigmoid(z).squeeze(1), torch.sigmoid(z) * torch.sigmoid(-z)
    p = torch.softmax(two_or_more(logits), dim=1)
    largest, top = p.max(dim=1, keepdim=True)
    others = p.scatter(1, top, 0.0)
    return largest.squeeze(1), (-largest * others).scatter(1, top, largest * others.sum(dim=1, keepdim=True))
