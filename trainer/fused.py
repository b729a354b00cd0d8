"""The built-in network for inference alone: the same arithmetic on packed tokens, in fewer and larger operations.

Query, key and value are one product, nothing is computed on padding, and no module is called: half of what the network
of `trainer.model` takes for a slate is spent on calls. Gradients and what estimators read are not to be had here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainer.model import InteractionModel, last_layer
from trainer.tokens import Encoded

MAX_PACKED_TOKENS = 2_048
"""Tokens a pass: what a layer makes of them, 2 MB, about fits the cache of one core."""


@dataclass(frozen=True, eq=False, slots=True)
class _Norm:
    weight: Tensor
    bias: Tensor
    epsilon: float

    @classmethod
    def of(cls, module: nn.LayerNorm) -> "_Norm":
        return cls(module.weight.detach(), module.bias.detach(), module.eps)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, self.weight.shape, self.weight, self.bias, self.epsilon)


@dataclass(frozen=True, eq=False, slots=True)
class _Affine:
    """x W + b, with W as [inputs, outputs]."""

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, *modules: nn.Linear) -> "_Affine":
        """Return the product of several layers on the same input, next to each other."""
        weight = torch.cat([module.weight.detach() for module in modules]).t().contiguous()
        return cls(weight, torch.cat([module.bias.detach() for module in modules]))

    def __call__(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias, x, self.weight)


@dataclass(frozen=True, eq=False, slots=True)
class _Layer:
    """One layer of BERT, normalised after each residual sum."""

    attended: _Affine
    attention_output: _Affine
    attention_norm: _Norm
    intermediate: _Affine
    output: _Affine
    output_norm: _Norm

    @classmethod
    def of(cls, layer: nn.Module) -> "_Layer":
        get = layer.get_submodule
        return cls(
            _Affine.of(*(get(f"attention.self.{name}") for name in ("query", "key", "value"))),  # type: ignore[arg-type]  # Linear, by BERT's definition
            _Affine.of(get("attention.output.dense")),  # type: ignore[arg-type]
            _Norm.of(get("attention.output.LayerNorm")),  # type: ignore[arg-type]
            _Affine.of(get("intermediate.dense")),  # type: ignore[arg-type]
            _Affine.of(get("output.dense")),  # type: ignore[arg-type]
            _Norm.of(get("output.LayerNorm")),  # type: ignore[arg-type]
        )

    def __call__(self, x: Tensor, groups: "list[_Group]", heads: int) -> Tensor:
        attended = _attention(self.attended(x), groups, heads)
        x = self.attention_norm(self.attention_output(attended).add_(x))
        return self.output_norm(self.output(functional.gelu(self.intermediate(x))).add_(x))


@dataclass(frozen=True, slots=True)
class _Group:
    """Pairs of one length, which lie next to each other: ``count`` of ``length`` tokens, from token ``start`` on."""

    start: int
    count: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.count * self.length


class FusedNetwork:
    """An `InteractionModel` in evaluation mode, for inference. Holds copies of its weights."""

    def __init__(self, network: InteractionModel) -> None:
        embeddings = network.bert.embeddings
        self._device = network.final.weight.device
        self._heads = network.shape.heads
        self._words = embeddings.word_embeddings.weight.detach()
        positions, types = embeddings.position_embeddings.weight, embeddings.token_type_embeddings.weight
        self._places = (types[:, None] + positions[None]).detach().flatten(0, 1)  # by type, then position
        self._max_tokens = len(positions)
        self._norm = _Norm.of(embeddings.LayerNorm)
        self._layers = [_Layer.of(layer) for layer in network.bert.encoder.layer]
        scored = last_layer(network)
        self._compare = _Affine.of(network.compare)
        self._final = _Affine(scored[:, :-1].t().contiguous(), scored[:, -1])
        self._special = np.array(network.shape.special_ids)

    @torch.inference_mode()
    def logits(self, encoded: Encoded) -> Tensor:
        """Return the logits [n, 1] of pairs, in order: those of `InteractionModel.forward` up to rounding."""
        order = np.argsort(encoded.lengths, kind="stable")
        logits = torch.empty(len(encoded), 1, device=self._device)
        for rows in _parts(order, encoded.lengths):
            logits[torch.from_numpy(rows).to(self._device)] = self._pass(encoded, rows)
        return logits

    def _pass(self, encoded: Encoded, rows: NDArray[np.int64]) -> Tensor:
        """Return the logits of these rows, which are ordered by length."""
        lengths = encoded.lengths[rows]
        is_token = np.arange(lengths[-1]) < lengths[:, None]
        row, position = np.nonzero(is_token)
        ids, types = encoded.ids[rows, : lengths[-1]][is_token], encoded.types[rows, : lengths[-1]][is_token]
        groups = list(_groups(lengths))
        words = functional.embedding(self._tensor(ids), self._words)
        x = words + functional.embedding(self._tensor(types * self._max_tokens + position), self._places)
        x = self._norm(x)
        for layer in self._layers:
            x = layer(x, groups, self._heads)
        # Sums over each pair's item, its query, and its special tokens, which belong to neither.
        part = np.where(np.isin(ids, self._special), 2, types)
        kinds = 3 * row + part
        counts = np.bincount(kinds, minlength=3 * len(rows)).reshape(-1, 3)
        sums = torch.zeros(3 * len(rows), x.shape[1], device=self._device).index_add_(
            0, self._tensor(kinds), x.add_(words)
        )
        means = sums.view(len(rows), 3, -1) / self._tensor(np.maximum(counts, 1).astype(np.float32)).unsqueeze(2)
        u, v = means[:, 0], means[:, 1]
        cosine = functional.cosine_similarity(u, v, dim=1).unsqueeze(1)
        has_query = self._tensor((counts[:, 1:2] > 0).astype(np.float32))
        features = torch.cat([u, v, u * v, (u - v).abs(), cosine, has_query], dim=1)
        return self._final(functional.gelu(self._compare(features)))

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(values).to(self._device)


def _attention(attended: Tensor, groups: list[_Group], heads: int) -> Tensor:
    """Return each token's attention to its own pair [tokens, D], of queries, keys and values [tokens, 3 D]."""
    width = attended.shape[1] // 3
    result = attended.new_empty(len(attended), width)
    for group in groups:
        shape = group.count, group.length, 3, heads, width // heads
        queries, keys, values = attended[group.start : group.end].view(shape).permute(2, 0, 3, 1, 4)
        weighted = functional.scaled_dot_product_attention(queries, keys, values)
        result[group.start : group.end].view(group.count, group.length, heads, -1).copy_(weighted.transpose(1, 2))
    return result


def _parts(order: NDArray[np.int64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield rows in this order, as many at once as have `MAX_PACKED_TOKENS` tokens."""
    ends = np.cumsum(lengths[order])
    start = 0
    while start < len(order):
        taken = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, taken + MAX_PACKED_TOKENS, "right")))
        yield order[start:end]
        start = end


def _groups(lengths: NDArray[np.int64]) -> Iterator[_Group]:
    """Yield the groups of equal lengths, which are ascending."""
    start = 0
    for length, count in zip(*np.unique(lengths, return_counts=True), strict=True):
        yield _Group(start, int(count), int(length))
        start += int(count) * int(length)
