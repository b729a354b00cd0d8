"""Each sample's loss gradient, randomly projected, without ever forming the gradient.

A layer y = W a has the gradient Σ_t g_t a_tᵀ, g the gradient of its output, t the tokens. With fixed random matrices
A [i, r] and B [o, r] its projection is Σ_t (Bᵀ g_t)(Aᵀ a_t)ᵀ: r² numbers, and just what the gradient of the core of
a LoRA adapter between A and B would be (Xia et al. 2024; Choe et al. 2024). All layers' numbers side by side are the
sample's. Products of gradients are kept in expectation.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from importance.errors import InvalidInput
from importance.estimators.base import single_or_better

RANK = 8


class Projection:
    """Random matrices for every Linear and Conv1D of a network, drawn from a seed: a version's direction fits in any
    process.
    """

    def __init__(self, network: nn.Module, rank: int = RANK, seed: int = 0) -> None:
        random = torch.Generator().manual_seed(seed)
        self._layers = {
            name or type(module).__name__: module for name, module in network.named_modules() if _widths(module)
        }
        self._matrices = [
            [_signs(size, rank, random).to(next(layer.parameters()).device) for size in _widths(layer)]
            for layer in self._layers.values()
        ]

    @contextmanager
    def watch(self) -> Iterator["Projected"]:
        """Follow the forward pass made inside, which must be made with gradients on, from inputs that require grad."""
        projected = Projected(tuple(self._layers))
        with ExitStack() as stack:
            for (name, layer), (inward, outward) in zip(self._layers.items(), self._matrices, strict=True):
                hook = projected.recorder(name, inward, outward)
                stack.callback(layer.register_forward_hook(hook).remove)
            yield projected


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """A layer's name, Aᵀa of what it ``read``, its ``output``, and B."""

    layer: str
    read: Tensor
    output: Tensor
    outward: Tensor


class Projected:
    """A forward pass that is followed, and the way from its losses to their projected gradients."""

    def __init__(self, layers: Sequence[str]) -> None:
        self._layers = layers
        self._calls: list[Call] = []

    def recorder(self, layer: str, inward: Tensor, outward: Tensor) -> Callable[..., None]:
        """Return the forward hook of one layer: it keeps Aᵀa, and the output whose gradient is asked for later."""

        def record(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
            read = single_or_better(arguments[0].detach())
            with torch.autocast(read.device.type, enabled=False):  # the network may compute in less than float32
                self._calls.append(Call(layer, read @ inward.to(read), output, outward))

        return record

    def gradients(self, losses: Tensor, retain_graph: bool = False) -> Tensor:
        """Return the projected gradients [n, P] of losses [n], detached, in float32 (or better).

        `InvalidInput` names a layer that was given other rows than one a sample, such as positions that all share: what
        of their gradient belongs to which cannot be determined.
        """
        gradients: tuple[Tensor | None, ...] = torch.autograd.grad(
            losses.sum(), [call.output for call in self._calls], retain_graph=retain_graph, allow_unused=True
        )
        parts: dict[str, Tensor] = {}
        for call, gradient in zip(self._calls, gradients, strict=True):
            if gradient is None:
                continue  # a layer that the losses do not depend on
            part = _part(call, gradient, len(losses))
            parts[call.layer] = parts[call.layer] + part if call.layer in parts else part
        self._calls.clear()
        return torch.cat([parts[layer] for layer in self._layers if layer in parts], dim=1).detach()


def _widths(module: nn.Module) -> tuple[int, ...]:
    """Return the widths of what a linear layer reads and gives; empty for any other layer."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if type(module).forward.__module__ == "transformers.pytorch_utils":  # Conv1D keeps its weight transposed
        return tuple(module.get_parameter("weight").shape)
    return ()


def _part(call: Call, gradient: Tensor, n: int) -> Tensor:
    """Return what one call adds [n, r²]: Σ_t (Bᵀ g_t)(Aᵀ a_t)ᵀ of each sample."""
    if len(gradient) != n:
        raise InvalidInput(
            f"gradients cannot be projected: {call.layer} was given {len(gradient)} rows for {n} samples; "
            "choose another estimator or base model"
        )
    seen = single_or_better(gradient) @ call.outward.to(call.read)
    return (seen.reshape(n, -1, seen.shape[-1]).mT @ call.read.reshape(n, -1, call.read.shape[-1])).flatten(1)


def _signs(size: int, rank: int, random: torch.Generator) -> Tensor:
    """Return random ±1/√r [size, rank], or the identity for a layer that is not wider; the same on every machine."""
    if size <= rank:
        return torch.eye(size)
    ones = torch.randint(0, 2, (size, rank), generator=random)
    return (2.0 * ones - 1) / sqrt(rank)
