"""One pass that is followed: hooks on the layers' outputs, one backward pass, and the sum of what each layer adds."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from importance.errors import InvalidInput
from importance.estimators.gradient_norm import layers
from importance.estimators.gradient_norm.foreign_use import ForeignUse
from importance.estimators.gradient_norm.inputs import Inputs, positions
from importance.estimators.gradient_norm.parts import Part, square


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """A covered layer: the formulas of its chosen parameters, by their names in the network.

    Parameters with one formula are a group: their gradients are squared together.
    """

    name: str
    module: nn.Module
    formulas: Mapping[tuple[str, ...], layers.Formula]

    @property
    def names(self) -> tuple[str, ...]:
        """Return its chosen parameters."""
        return tuple(name for group in self.formulas for name in group)


@dataclass(eq=False, slots=True)
class Plan:
    """The properties of a network before a pass, completed in the first one.

    ``by_sample``: the parameters without a formula. ``once``: the groups of parameters used in one call only, whose
    layers may forget their inputs early.
    """

    parameters: Mapping[str, nn.Parameter]
    fallback: bool
    by_sample: set[str]
    once: set[tuple[str, ...]] = field(default_factory=set)
    is_checked: bool = False


class Watched:
    """A forward pass whose layers are followed, and the way from its losses to the norms of their gradients."""

    def __init__(self, plan: Plan, foreign: ForeignUse | None) -> None:
        self._plan = plan
        self._foreign = foreign
        self._doubts: dict[str, str] = {}
        self._inputs: dict[int, Inputs] = {}
        self._calls: list[tuple[Layer, int]] = []
        self._ends: dict[str, Tensor] = {}
        self._uses: Counter[tuple[str, ...]] = Counter()
        self._parts: dict[tuple[str, ...], list[Part]] = {}
        self._total: Tensor | None = None

    def follow(self, layer: Layer) -> RemovableHandle:
        """Let a layer's calls be recorded, until the handle is removed."""
        return layer.module.register_forward_hook(partial(self._record, layer), with_kwargs=True)

    def norms(self, losses: Tensor, retain_graph: bool = False) -> Tensor:
        """Return ‖∇_θ ℓ_i‖₂ [n], detached, of the losses ℓ [n] that the watched pass led to."""
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
                total += square(parts)
        finally:
            self._total = None
            self._parts.clear()
        if not self._plan.is_checked:
            self._plan.once.update(group for group, uses in self._uses.items() if uses == 1)
            self._plan.is_checked = True
        return total.clamp(min=0).sqrt()

    def forget(self) -> None:
        """Let go of the graph."""
        self._ends.clear()
        self._inputs.clear()

    def _record(self, layer: Layer, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        """Record a layer's inputs, and wait for the gradient of its output."""
        if not torch.is_grad_enabled():
            return  # nothing of this call is ever learnt from
        tensor = (*args, *kwargs.values())[0]
        inputs = self._inputs.get(id(tensor))
        if inputs is None or not inputs.is_of(tensor):
            inputs = self._inputs[id(tensor)] = Inputs(tensor)
        if self._plan.once.issuperset(layer.formulas) and layers.reads_gram_only(module, inputs):
            inputs.keep_gram(tensor)
        else:
            inputs.keep(tensor)
        if self._foreign and not layers.computes_as_assumed(module, tensor, output):
            self._doubts.update(dict.fromkeys(layer.names, f"{layer.name} does not compute as its type does"))
        self._calls.append((layer, inputs.samples))
        self._uses.update(layer.formulas.keys())
        if any(self._uses[group] > 1 for group in self._plan.once.intersection(layer.formulas)):
            raise InvalidInput(
                f"{layer.name} is called again, and was called once in the first pass: make a new GradientNorm"
            )
        if not output.requires_grad:
            output.requires_grad_()
            self._ends[layer.name] = output
        elif self._plan.fallback:
            self._ends[f"{layer.name}, call {len(self._calls)}"] = output
        output.register_hook(partial(self._receive, layer, inputs))  # type: ignore[no-untyped-call]  # torch's own

    def _receive(self, layer: Layer, inputs: Inputs, gradient: Tensor) -> None:
        """Add what a layer's output gradient means for its parameters, once all of their uses are known."""
        if self._total is None:
            return  # another's backward pass
        rows = positions(gradient)
        for group, formula in layer.formulas.items():
            if self._plan.by_sample.isdisjoint(group):
                parts = [*self._parts.pop(group, ()), formula(layer.module, inputs, rows)]
                if len(parts) == self._uses[group]:
                    self._total += square(parts)
                else:
                    self._parts[group] = parts

    def _backward(self, loss: Tensor, retain_graph: bool) -> None:
        """Gradients of activations only. What they mean for the parameters is added on the way."""
        if not self._ends:
            return
        gradients = torch.autograd.grad(loss, tuple(self._ends.values()), retain_graph=retain_graph, allow_unused=True)
        unused = [name for name, gradient in zip(self._ends, gradients, strict=True) if gradient is None]
        if unused and not self._plan.fallback:
            raise InvalidInput(f"the output of {unused[0]} does not reach the losses: leave it out of the subset")

    def _sample_by_sample(self, losses: Tensor) -> Tensor:
        """Return ‖∇ℓ_i‖² [n] by the parameters without a formula, zero if there are none."""
        total = torch.zeros_like(losses, dtype=torch.promote_types(losses.dtype, torch.float32))
        parameters = [self._plan.parameters[name] for name in sorted(self._plan.by_sample)]
        for position, loss in enumerate(losses if parameters else ()):
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
            total[position] = sum(gradient.square().sum() for gradient in gradients if gradient is not None)
        return total

    def _settle_doubts(self, samples: int) -> None:
        """Leave what cannot be followed to the fallback, or refuse it."""
        if self._foreign:
            self._doubts.update(dict.fromkeys(self._foreign.found, "it is used outside its layer"))
        for layer, seen in self._calls:
            if seen != samples:
                doubt = f"{layer.name} was given {seen} rows for {samples} samples"
                self._doubts.update(dict.fromkeys(layer.names, doubt))
        for name, doubt in self._doubts.items():
            if not self._plan.fallback:
                raise InvalidInput(
                    f"gradient_norm cannot follow {name}: {doubt}; leave it out, or allow the per-sample fallback "
                    "(WEIR_GRADIENT_FALLBACK, for a first version)"
                )
        for group in self._uses:
            if not self._doubts.keys().isdisjoint(group):
                self._plan.by_sample.update(group)
        self._plan.by_sample.update(self._doubts)
