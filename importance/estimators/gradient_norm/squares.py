"""Squared norms of per-sample gradients, from a layer's inputs and output gradients. Pure functions of tensors.

n samples of T positions (tokens). Chunked over samples, positions or width, so that memory stays bounded whatever T is.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

_CHUNK = {"cpu": 1 << 18, "other": 1 << 26}
"""Elements of the largest intermediate result: 1 MiB of float32, the second cache of a core; 256 MiB on a GPU."""

_BLOCK = 128
"""Positions a block of a Gram matrix; smaller ones would save more by symmetry and lose it again in the products."""


def vector(rows: Tensor) -> Tensor:
    """Return ‖row‖² of each, [n, …] to [n]."""
    norm: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return norm.square()


def outer(inputs: Tensor, gradients: Tensor, bias: bool = False) -> Tensor:
    """Return ‖Σ_t g_t a_tᵀ‖² of a [n, T, i] and g [n, T, o], the gradient of a linear layer's weight: [n].

    Equal to Σ_{t,s} (a_t·a_s)(g_t·g_s), which takes less where T(i + o) ≤ i·o (Goodfellow 2015). With ``bias`` its
    gradient Σ_t g_t counts as well: a_t·a_s + 1.

    >>> outer(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0], [4.0]]]))
    tensor([121.])
    """
    positions, width, height = inputs.shape[1], inputs.shape[2], gradients.shape[2]
    if positions == 1:
        return (vector(inputs) + int(bias)) * vector(gradients)
    if prefers_gram(positions, width, height):
        return _chunked(partial(_outer_by_gram, bias=bias), positions * min(positions, _BLOCK), inputs, gradients)
    return _chunked(partial(_outer_directly, bias=bias), width * height, inputs, gradients)


def prefers_gram(positions: int, width: int, height: int) -> bool:
    """Return whether two Gram matrices [T, T] take fewer operations than one product [i, o]."""
    return positions > 1 and positions * (width + height) <= width * height


def gram(rows: Tensor) -> Tensor:
    """Return AAᵀ [n, T, T] of a [n, T, i]."""
    return rows @ rows.mT


def outer_given_gram(product: Tensor, gradients: Tensor, bias: bool = False) -> Tensor:
    """Return the same as `outer`, with AAᵀ [n, T, T] given: layers that read the same inputs share it."""

    def square(aa: Tensor, g: Tensor) -> Tensor:
        return ((aa + 1 if bias else aa) * gram(g)).sum(dim=(1, 2))

    return _chunked(square, product.shape[1] ** 2, product, gradients)


def lookup(ids: Tensor, gradients: Tensor) -> Tensor:
    """Return ‖Σ_t onehot(id_t) g_tᵀ‖² of ids [n, T] and g [n, T, D], the gradient of an embedding table: [n].

    >>> lookup(torch.tensor([[5, 7, 5]]), torch.tensor([[[1.0], [2.0], [3.0]]]))  # (1 + 3)² + 2²
    tensor([20.])
    """
    samples = torch.arange(len(ids), device=ids.device).unsqueeze(1)
    size = int(ids.max()) + 1
    pairs, position = torch.unique(samples * size + ids, return_inverse=True)
    sums = gradients.new_zeros(len(pairs), gradients.shape[2])
    sums.index_add_(0, position.flatten(), gradients.flatten(0, 1))
    return gradients.new_zeros(len(ids)).index_add_(0, pairs // size, vector(sums))


def tied(ids: Tensor, by_lookup: Tensor, inputs: Tensor, by_outer: Tensor) -> Tensor:
    """Return ⟨Σ_t onehot(id_t) g_tᵀ, Σ_s γ_s a_sᵀ⟩ [n], of one table that is used for lookup and for multiplication.

    ids [n, T], g ``by_lookup`` [n, T, D]; a ``inputs`` [n, S, D], γ ``by_outer`` [n, S, V]. Equal to
    Σ_{t,s} γ_s[id_t] (g_t·a_s).
    """

    def product(ids: Tensor, g: Tensor, a: Tensor, out: Tensor) -> Tensor:
        looked_up = out.gather(2, ids.unsqueeze(1).expand(-1, out.shape[1], -1))
        return (looked_up * (a @ g.mT)).sum(dim=(1, 2))

    return _chunked(product, inputs.shape[1] * ids.shape[1], ids, by_lookup, inputs, by_outer)


def _outer_by_gram(inputs: Tensor, gradients: Tensor, bias: bool) -> Tensor:
    """Sum by blocks of the upper triangle: the whole is twice that, less the blocks on the diagonal."""
    total = inputs.new_zeros(len(inputs))
    for start in range(0, inputs.shape[1], _BLOCK):
        a, g = inputs[:, start:], gradients[:, start:]
        block = (a[:, :_BLOCK] @ a.mT).add_(int(bias)).mul_(g[:, :_BLOCK] @ g.mT)
        total += 2 * block.sum(dim=(1, 2)) - block[:, :, :_BLOCK].sum(dim=(1, 2))
    return total


def _outer_directly(inputs: Tensor, gradients: Tensor, bias: bool) -> Tensor:
    height = max(1, _chunk(inputs) // inputs.shape[2])
    total = torch.stack([vector(part.mT @ inputs) for part in torch.split(gradients, height, dim=2)]).sum(dim=0)
    return total + vector(gradients.sum(dim=1)) if bias else total


def _chunked(function: Callable[..., Tensor], each: int, *tensors: Tensor) -> Tensor:
    """Return [n] of tensors over n samples that take ``each`` elements: by groups that take no more than a chunk."""
    size = max(1, _chunk(tensors[0]) // each)
    if len(tensors[0]) <= size:
        return function(*tensors)
    return torch.cat(
        [function(*group) for group in zip(*(torch.split(tensor, size) for tensor in tensors), strict=True)]
    )


def _chunk(tensor: Tensor) -> int:
    return _CHUNK["cpu" if tensor.device.type == "cpu" else "other"]
