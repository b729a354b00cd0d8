"""Squared norms of per-sample gradients, from a layer's inputs and output gradients. Pure functions of tensors.

n samples of T places (tokens). Chunked over samples, places or width, so that memory stays bounded whatever T is.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK = 1 << 20
"""Elements of the largest intermediate result: 4 MiB of float32, about what the caches of one core hold."""

_BLOCK = 128
"""Places a block of a Gram matrix; smaller ones would save more by symmetry and lose it again in the products."""


def outer(inputs: Tensor, gradients: Tensor) -> Tensor:
    """‖Σ_t g_t a_tᵀ‖² of a [n, T, i] and g [n, T, o], the gradient of a linear layer's weight; returns [n].

    Equal to Σ_{t,s} (a_t·a_s)(g_t·g_s), which takes less where T(i + o) < i·o (Goodfellow 2015).

    >>> outer(torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[3.0], [4.0]]]))
    tensor([121.])
    """
    places, width, height = inputs.shape[1], inputs.shape[2], gradients.shape[2]
    if places == 1:
        return _squared(inputs) * _squared(gradients)
    if prefers_gram(places, width, height):
        each, square = places * min(places, _BLOCK), _outer_by_gram
    else:
        each, square = width * height, _outer_directly
    return torch.cat([square(a, g) for a, g in _chunks(each, inputs, gradients)])


def prefers_gram(places: int, width: int, height: int) -> bool:
    """Whether two Gram matrices [T, T] take fewer operations than one product [i, o]."""
    return places * (width + height) < width * height


def gram(rows: Tensor) -> Tensor:
    """AAᵀ [n, T, T] of a [n, T, i]."""
    return rows @ rows.mT


def outer_given_gram(product: Tensor, gradients: Tensor) -> Tensor:
    """As `outer`, with AAᵀ [n, T, T] given: layers that read the same inputs share it."""
    return (product * gram(gradients)).sum(dim=(1, 2))


def lookup(ids: Tensor, gradients: Tensor) -> Tensor:
    """‖Σ_t onehot(id_t) g_tᵀ‖² of ids [n, T] and g [n, T, D], the gradient of an embedding table; returns [n].

    >>> lookup(torch.tensor([[5, 7, 5]]), torch.tensor([[[1.0], [2.0], [3.0]]]))  # (1 + 3)² + 2²
    tensor([20.])
    """
    samples = torch.arange(len(ids), device=ids.device).unsqueeze(1)
    size = int(ids.max()) + 1
    pairs, place = torch.unique(samples * size + ids, return_inverse=True)
    sums = gradients.new_zeros(len(pairs), gradients.shape[2])
    sums.index_add_(0, place.flatten(), gradients.flatten(0, 1))
    return gradients.new_zeros(len(ids)).index_add_(0, pairs // size, _squared(sums))


def tied(ids: Tensor, by_lookup: Tensor, inputs: Tensor, by_outer: Tensor) -> Tensor:
    """⟨Σ_t onehot(id_t) g_tᵀ, Σ_s γ_s a_sᵀ⟩ [n], of one table that is looked up and multiplied with.

    ids [n, T], g ``by_lookup`` [n, T, D]; a ``inputs`` [n, S, D], γ ``by_outer`` [n, S, V]. Equal to
    Σ_{t,s} γ_s[id_t] (g_t·a_s).
    """
    each = inputs.shape[1] * ids.shape[1]
    parts = []
    for i, g, a, out in _chunks(each, ids, by_lookup, inputs, by_outer):
        looked_up = out.gather(2, i.unsqueeze(1).expand(-1, out.shape[1], -1))
        parts.append((looked_up * (a @ g.mT)).sum(dim=(1, 2)))
    return torch.cat(parts)


def _outer_by_gram(inputs: Tensor, gradients: Tensor) -> Tensor:
    """By blocks of the upper triangle: the whole is twice that, less the blocks on the diagonal."""
    total = inputs.new_zeros(len(inputs))
    for start in range(0, inputs.shape[1], _BLOCK):
        a, g = inputs[:, start:], gradients[:, start:]
        block = (a[:, :_BLOCK] @ a.mT) * (g[:, :_BLOCK] @ g.mT)
        total += 2 * block.sum(dim=(1, 2)) - block[:, :, :_BLOCK].sum(dim=(1, 2))
    return total


def _outer_directly(inputs: Tensor, gradients: Tensor) -> Tensor:
    height = max(1, CHUNK // inputs.shape[2])
    return torch.stack([_squared(part.mT @ inputs) for part in torch.split(gradients, height, dim=2)]).sum(dim=0)


def _chunks(each: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors over the same samples, cut into groups of samples that take ``each`` elements and together a chunk."""
    yield from zip(*(torch.split(tensor, max(1, CHUNK // each)) for tensor in tensors), strict=True)


def _squared(rows: Tensor) -> Tensor:
    """‖row‖² of each, [n, …] to [n]."""
    norm: Tensor = torch.linalg.vector_norm(rows.flatten(1), dim=1)
    return norm.square()
