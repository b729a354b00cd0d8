"""The layers that are covered, and what each adds to the gradients of its parameters, without forming them.

Linear, transformers' Conv1D, LayerNorm, RMSNorm and Embedding. A layer is known by its forward method, so that a
subclass that computes something else is not taken for one. LoRA needs nothing of its own: its matrices are Linears.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from importance.estimators.gradient_norm import squares


class Inputs:
    """What a layer read: activations [n, T, i] or ids [n, T]. Layers that read the same tensor share it."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor
        self._version = tensor._version

    @property
    def samples(self) -> int:
        """The length of the first dimension."""
        return self._tensor.shape[0] if self._tensor.ndim else 0

    @property
    def is_changed(self) -> bool:
        """Whether it was written to, in place, after it was read."""
        return self._tensor._version != self._version

    @property
    def ids(self) -> Tensor:
        """[n, T], integers."""
        return self._tensor.flatten(1) if self._tensor.ndim > 1 else self._tensor.unsqueeze(1)

    @property
    def rows(self) -> Tensor:
        """[n, T, i] in float32 or better; T = 1 where there are no places."""
        return places(self._tensor)

    @cached_property
    def gram(self) -> Tensor:
        """AAᵀ [n, T, T]."""
        return squares.gram(self.rows)


def places(tensor: Tensor) -> Tensor:
    """[n, …, i] as [n, T, i], in float32 or better."""
    tensor = tensor.reshape(len(tensor), -1, tensor.shape[-1])
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


@dataclass(frozen=True, eq=False, slots=True)
class Outer:
    """A gradient Σ_t g_t a_tᵀ: inputs a [n, T, i], gradients g [n, T, o]."""

    inputs: Inputs
    gradients: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Lookup:
    """A gradient Σ_t onehot(id_t) g_tᵀ: ids [n, T], gradients g [n, T, D]."""

    ids: Tensor
    gradients: Tensor


@dataclass(frozen=True, eq=False, slots=True)
class Vector:
    """A gradient written out, of a bias or a scale: [n, D]."""

    values: Tensor


Part = Outer | Lookup | Vector
Rule = Callable[[nn.Module, Inputs, Tensor], Part]
"""From a layer, its inputs and the gradient of its output [n, T, o] to the gradient of one of its parameters."""


def square(parts: Sequence[Part]) -> Tensor:
    """‖sum of the parts‖² [n]: the gradient of one parameter, which may be used in several places."""
    vectors = [part.values for part in parts if isinstance(part, Vector)]
    outers = [part for part in parts if isinstance(part, Outer)]
    lookups = [part for part in parts if isinstance(part, Lookup)]
    if vectors:
        return torch.stack(vectors).sum(dim=0).square().sum(dim=1)
    if not lookups:
        return _square_outer(outers[0]) if len(outers) == 1 else squares.outer(*_joined(outers))
    ids = torch.cat([part.ids for part in lookups], dim=1)
    gradients = torch.cat([part.gradients for part in lookups], dim=1)
    total = squares.lookup(ids, gradients)
    if outers:
        joined = _joined(outers)
        total = total + squares.outer(*joined) + 2 * squares.tied(ids, gradients, *joined)
    return total


def _square_outer(part: Outer) -> Tensor:
    rows, gradients = part.inputs.rows, part.gradients
    n, length, width = rows.shape
    is_small = 1 < length <= width and n * length**2 <= squares.CHUNK
    if is_small and squares.prefers_gram(length, width, gradients.shape[2]):
        return squares.outer_given_gram(part.inputs.gram, gradients)
    return squares.outer(rows, gradients)


def _joined(parts: Sequence[Outer]) -> tuple[Tensor, Tensor]:
    return torch.cat([part.inputs.rows for part in parts], dim=1), torch.cat([part.gradients for part in parts], dim=1)


def rules(module: nn.Module) -> Mapping[str, Rule]:
    """The rule of each parameter of a layer, by its name there; empty where the layer is not covered."""
    forward = type(module).forward
    found = _RULES.get(f"{forward.__module__}.{forward.__qualname__}")
    if found is None:
        return _RMS_NORM if _is_rms_norm(module) else {}
    if isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq):
        return {}  # the first changes the table as it reads, the second scales by counts over the whole batch
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
        return {}
    return found


def computes_as_ruled(module: nn.Module, inputs: Tensor, output: Tensor) -> bool:
    """Whether a layer did what its rules assume. Only of an RMSNorm is that in doubt: there are many, known by shape.

    Its output must be x̂ ∘ w, or x̂ ∘ (1 + w) as in Gemma: the gradient by w is the same.
    """
    if not _is_rms_norm(module):
        return True
    weight = module.get_parameter("weight").detach().float()
    scaled = _normalised(module, inputs.detach().float())
    tolerance = 1e-4 if output.dtype in (torch.float32, torch.float64) else 2e-2
    return any(
        output.shape == scaled.shape and torch.allclose(output.float(), scaled * w, rtol=tolerance, atol=tolerance)
        for w in (weight, 1 + weight)
    )


def _outer(_: nn.Module, seen: Inputs, gradient: Tensor) -> Part:
    return Outer(seen, gradient)


def _transposed(_: nn.Module, seen: Inputs, gradient: Tensor) -> Part:
    return Outer(Inputs(gradient), seen.rows)


def _sum(_: nn.Module, __: Inputs, gradient: Tensor) -> Part:
    return Vector(gradient.sum(dim=1))


def _layer_norm(module: Any, seen: Inputs, gradient: Tensor) -> Part:
    rows = seen.rows
    return Vector(functional.layer_norm(rows, rows.shape[-1:], eps=module.eps).mul_(gradient).sum(dim=1))


def _rms_norm(module: nn.Module, seen: Inputs, gradient: Tensor) -> Part:
    return Vector(_normalised(module, seen.rows).mul_(gradient).sum(dim=1))


def _lookup(module: Any, seen: Inputs, gradient: Tensor) -> Part:
    ids = seen.ids
    if module.padding_idx is not None:
        gradient = gradient.masked_fill((ids == module.padding_idx).unsqueeze(-1), 0.0)
    return Lookup(ids, gradient)


_RMS_NORM: Mapping[str, Rule] = {"weight": _rms_norm}
_RULES: Mapping[str, Mapping[str, Rule]] = {
    "torch.nn.modules.linear.Linear.forward": {"weight": _outer, "bias": _sum},
    "torch.nn.modules.normalization.LayerNorm.forward": {"weight": _layer_norm, "bias": _sum},
    "torch.nn.modules.sparse.Embedding.forward": {"weight": _lookup},
    "transformers.pytorch_utils.Conv1D.forward": {"weight": _transposed, "bias": _sum},
}


def _is_rms_norm(module: nn.Module) -> bool:
    """A class of that name, or T5's LayerNorm: one vector ``weight``, an epsilon, nothing else."""
    names = [name for name, _ in module.named_parameters()]
    return (
        type(module).__name__.endswith("Norm")
        and names == ["weight"]
        and module.get_parameter("weight").ndim == 1
        and (hasattr(module, "eps") or hasattr(module, "variance_epsilon"))
    )


def _normalised(module: Any, rows: Tensor) -> Tensor:
    epsilon = module.eps if hasattr(module, "eps") else module.variance_epsilon
    return functional.rms_norm(rows, rows.shape[-1:], eps=epsilon)
