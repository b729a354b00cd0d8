"""The layers that are covered, and what each adds to the gradients of its parameters, without forming them.

Linear, transformers' Conv1D, LayerNorm, RMSNorm and Embedding. A layer is known by its forward method, so that a
subclass that computes something else is not taken for one. LoRA needs nothing of its own: its matrices are Linears.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from importance.estimators.gradient_norm.inputs import Inputs
from importance.estimators.gradient_norm.parts import Lookup, Outer, Part, Vector

Formula = Callable[[nn.Module, Inputs, Tensor], Part]
"""From a layer, its inputs and the gradient of its output [n, T, o] to the gradient of a parameter, or of two."""


def formulas(module: nn.Module, names: Collection[str], alone: bool) -> Mapping[tuple[str, ...], Formula]:
    """Return the formulas of a layer for the ``names`` among its parameters; empty where the layer is not covered.

    A weight and its bias have one formula where both are this layer's ``alone``.
    """
    forward = type(module).forward
    found = _FORMULAS.get(f"{forward.__module__}.{forward.__qualname__}")
    if found is _LINEAR and alone and {"weight", "bias"} <= set(names):
        return {("weight", "bias"): _outer_with_bias}
    if found is None:
        found = _RMS_NORM if _is_rms_norm(module) else {}
    if isinstance(module, nn.Embedding) and (module.max_norm is not None or module.scale_grad_by_freq):
        return {}  # the first changes the table as it reads, the second scales by counts over the whole batch
    if isinstance(module, nn.LayerNorm) and len(module.normalized_shape) > 1:
        return {}
    return {(name,): found[name] for name in names if name in found}


def reads_gram_only(module: nn.Module, inputs: Inputs) -> bool:
    """Return whether AAᵀ is all that a layer's formulas need of its inputs."""
    return isinstance(module, nn.Linear) and inputs.suits_gram(module.out_features)


def computes_as_assumed(module: nn.Module, inputs: Tensor, output: Tensor) -> bool:
    """Return whether a layer computed what its formulas assume. Checks RMSNorms only: they are recognised by shape.

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


def _outer_with_bias(_: nn.Module, seen: Inputs, gradient: Tensor) -> Part:
    return Outer(seen, gradient, bias=True)


def _transposed(_: nn.Module, seen: Inputs, gradient: Tensor) -> Part:
    as_inputs = Inputs(gradient)
    as_inputs.keep(gradient)
    return Outer(as_inputs, seen.rows)


def _sum(_: nn.Module, __: Inputs, gradient: Tensor) -> Part:
    return Vector(gradient.sum(dim=1))


def _layer_norm(module: Any, seen: Inputs, gradient: Tensor) -> Part:
    rows = seen.rows
    # Given a scale and a shift torch takes a kernel twice as fast as without.
    one, zero = rows.new_ones(rows.shape[2]), rows.new_zeros(rows.shape[2])
    normalised = functional.layer_norm(rows, one.shape, one, zero, module.eps)
    return Vector(normalised.mul_(gradient).sum(dim=1))


def _rms_norm(module: Any, seen: Inputs, gradient: Tensor) -> Part:
    return Vector(_normalised(module, seen.rows).mul_(gradient).sum(dim=1))


def _lookup(module: Any, seen: Inputs, gradient: Tensor) -> Part:
    ids = seen.ids
    if module.padding_idx is not None:
        gradient = gradient.masked_fill((ids == module.padding_idx).unsqueeze(-1), 0.0)
    return Lookup(ids, gradient)


_RMS_NORM: Mapping[str, Formula] = {"weight": _rms_norm}
_LINEAR: Mapping[str, Formula] = {"weight": _outer, "bias": _sum}
_FORMULAS: Mapping[str, Mapping[str, Formula]] = {
    "torch.nn.modules.linear.Linear.forward": _LINEAR,
    "torch.nn.modules.normalization.LayerNorm.forward": {"weight": _layer_norm, "bias": _sum},
    "torch.nn.modules.sparse.Embedding.forward": {"weight": _lookup},
    "transformers.pytorch_utils.Conv1D.forward": {"weight": _transposed, "bias": _sum},
}


def _is_rms_norm(module: nn.Module) -> bool:
    """Return whether it is a class of that name, or T5's LayerNorm: one vector ``weight``, an epsilon, nothing else."""
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
