"""One pass that is followed: hooks on the layers' outputs, one backward pass, and the sum of what each layer adds."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from importance.errors import InvalidInput
from importance.estimators.gradient_norm import layers
from importance.estimators.gradient_norm.strays import Strays


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """A covered layer: the rules of its chosen parameters, by their names in the network."""

    name: str
    module: nn.Module
    rules: Mapping[str, layers.Rule]


class Watched:
    """A forward pass whose layers are followed, and the way from its losses to the norms of their gradients.

    ``by_sample`` are parameters that no rule covers, and which require grad; what else is found not to be covered
    joins them, or is an error where there is no ``fallback``.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], by_sample: set[str], fallback: bool, strays: Strays | None
    ) -> None:
        self._parameters = parameters
        self._by_sample = by_sample
        self._fallback = fallback
        self._strays = strays
        self._doubts: dict[str, str] = {}
        self._inputs: dict[int, layers.Inputs] = {}
        self._calls: list[tuple[Layer, int]] = []
        self._ends: dict[str, Tensor] = {}
        self._uses: Counter[str] = Counter()
        self._parts: defaultdict[str, list[layers.Part]] = defaultdict(list)
        self._total: Tensor | None = None

    def follow(self, layer: Layer) -> RemovableHandle:
        """Let a layer's calls be recorded, until the handle is removed."""
        return layer.module.register_forward_hook(partial(self._record, layer), with_kwargs=True)

    def norms(self, losses: Tensor, retain_graph: bool = False) -> Tensor:
        """‖∇_θ ℓ_i‖₂ [n], detached, of the losses ℓ [n] that the watched pass led to."""
        if losses.ndim != 1:
            raise InvalidInput(f"losses have shape {list(losses.shape)}; gradient_norm needs one a sample, [n]")
        if not losses.requires_grad:
            raise InvalidInput("the losses do not depend on the chosen parameters: compute them inside watch()")
        self._settle_doubts(len(losses))
        self._inputs.clear()
        total = self._total = self._sample_by_sample(losses)
        try:
            self._backward(losses.sum(), retain_graph)
            for parts in self._parts.values():  # of layers with a call that did not reach the losses
                total += layers.square(parts)
        finally:
            self._total = None
            self._parts.clear()
        return total.clamp(min=0).sqrt()

    def forget(self) -> None:
        """Let go of the graph."""
        self._ends.clear()
        self._inputs.clear()

    def _record(self, layer: Layer, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        """Note what a layer read, and wait for the gradient of what it gave."""
        if not torch.is_grad_enabled():
            return  # nothing of this call is ever learnt from
        tensor = (*args, *kwargs.values())[0]
        inputs = self._inputs.get(id(tensor))
        if inputs is None or inputs.is_changed:
            inputs = self._inputs[id(tensor)] = layers.Inputs(tensor)
        if self._strays and not layers.computes_as_ruled(module, tensor, output):
            self._doubts.update(dict.fromkeys(layer.rules, f"{layer.name} is no such layer as it looks"))
        self._calls.append((layer, inputs.samples))
        self._uses.update(layer.rules.keys())
        if not output.requires_grad:
            output.requires_grad_()
            self._ends[layer.name] = output
        elif self._fallback:
            self._ends[f"{layer.name}, call {len(self._calls)}"] = output
        output.register_hook(partial(self._receive, layer, inputs))  # type: ignore[no-untyped-call]  # torch's own

    def _receive(self, layer: Layer, inputs: layers.Inputs, gradient: Tensor) -> None:
        """Add what a layer's output gradient means for its parameters, once all of their uses are known."""
        if self._total is None:
            return  # another's backward pass
        if inputs.is_changed:
            raise InvalidInput(f"the input of {layer.name} was changed in place: gradient_norm cannot read it any more")
        rows = layers.places(gradient)
        for name, rule in layer.rules.items():
            if name not in self._by_sample:
                self._parts[name].append(rule(layer.module, inputs, rows))
                if len(self._parts[name]) == self._uses[name]:
                    self._total += layers.square(self._parts.pop(name))

    def _backward(self, loss: Tensor, retain_graph: bool) -> None:
        """Gradients of activations only. What they mean for the parameters is added on the way."""
        if not self._ends:
            return
        gradients = torch.autograd.grad(loss, tuple(self._ends.values()), retain_graph=retain_graph, allow_unused=True)
        unused = [name for name, gradient in zip(self._ends, gradients, strict=True) if gradient is None]
        if unused and not self._fallback:
            raise InvalidInput(f"the output of {unused[0]} does not reach the losses: leave it out of the subset")

    def _sample_by_sample(self, losses: Tensor) -> Tensor:
        """‖∇ℓ_i‖² [n] by the parameters that no rule covers, zero where there are none."""
        total = torch.zeros_like(losses, dtype=torch.promote_types(losses.dtype, torch.float32))
        parameters = [self._parameters[name] for name in sorted(self._by_sample)]
        for place, loss in enumerate(losses if parameters else ()):
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            total[place] = sum(gradient.square().sum() for gradient in gradients if gradient is not None)
        return total

    def _settle_doubts(self, samples: int) -> None:
        """Leave what cannot be followed to the fallback, or refuse it."""
        if self._strays:
            self._doubts.update(dict.fromkeys(self._strays.found, "it is used outside its layer"))
        for layer, seen in self._calls:
            if seen != samples:
                doubt = f"{layer.name} was given {seen} rows for {samples} samples"
                self._doubts.update(dict.fromkeys(layer.rules, doubt))
        for name, doubt in self._doubts.items():
            if not self._fallback:
                raise InvalidInput(
                    f"gradient_norm cannot follow {name}: {doubt}; leave it out, or allow the per-sample fallback"
                )
            self._by_sample.add(name)
