"""Of which parameters the norm is taken, whether all of them are covered, and a network made ready for the pass."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from importance.errors import InvalidInput
from importance.estimators.gradient_norm import layers
from importance.estimators.gradient_norm.foreign_use import ForeignUse
from importance.estimators.gradient_norm.subset import Subset, choose
from importance.estimators.gradient_norm.watch import Layer, Plan, Watched


class GradientNorm:
    """The exact norm of each sample's loss gradient, by a subset of a network's parameters.

    Made once for a network; the subset is fixed then. What is not covered is named in an `InvalidInput`: here, or at
    the first pass where only that shows it. With ``fallback`` such parameters' gradients are computed sample by sample
    instead, each by a backward pass through the whole batch: exact too, and slow.
    """

    def __init__(self, network: nn.Module, subset: Subset = "all", fallback: bool = False) -> None:
        parameters = choose(network, subset)
        self._network = network
        self._layers = list(_covered(network, parameters))
        uncovered = set(parameters).difference(*(group for layer in self._layers for group in layer.formulas))
        if uncovered and not fallback:
            names = ", ".join(_owners(network, [parameters[name] for name in sorted(uncovered)]))
            raise InvalidInput(
                f"gradient_norm does not cover {names}: choose other parameters, or allow the "
                "per-sample fallback (WEIR_GRADIENT_FALLBACK, for a first version)"
            )
        self._plan = Plan(parameters, fallback, by_sample=uncovered)

    @contextmanager
    def watch(self) -> Iterator[Watched]:
        """Follow the forward pass made inside: the network is frozen, in evaluation mode, and gradients are on."""
        with ExitStack() as stack:
            foreign = None if self._plan.is_checked else ForeignUse(self._plan.parameters)
            watched = Watched(self._plan, foreign)
            stack.callback(watched.forget)
            stack.enter_context(_frozen(self._network, self._plan.parameters.values() if self._plan.fallback else ()))
            stack.enter_context(torch.enable_grad())
            for layer in self._layers:
                stack.callback(watched.follow(layer).remove)
            if foreign:
                for layer in self._layers:
                    stack.callback(layer.module.register_forward_pre_hook(foreign.enter_layer).remove)
                    stack.callback(layer.module.register_forward_hook(foreign.leave_layer, always_call=True).remove)
                stack.enter_context(foreign)
            yield watched


def gradient_norms(
    network: nn.Module, losses: Callable[[], Tensor], subset: Subset = "all", fallback: bool = False
) -> Tensor:
    """Return ‖∇_θ ℓ_i‖₂ [n] of the losses ℓ [n] that ``losses`` computes with the network. See `GradientNorm`.

    >>> network = nn.Linear(2, 1, bias=False)
    >>> gradient_norms(network, lambda: network(torch.tensor([[3.0, 4.0], [0.0, 1.0]])).squeeze(1))
    tensor([5., 1.])
    """
    with GradientNorm(network, subset, fallback).watch() as watched:
        return watched.norms(losses())


def _covered(network: nn.Module, parameters: Mapping[str, nn.Parameter]) -> Iterator[Layer]:
    full = {id(parameter): name for name, parameter in parameters.items()}
    owned = [
        (path, module, {name: full[id(own)] for name, own in module.named_parameters(recurse=False) if id(own) in full})
        for path, module in network.named_modules()
    ]
    owners = Counter(name for _, _, names in owned for name in names.values())
    for path, module, names in owned:
        alone = all(owners[name] == 1 for name in names.values())
        formulas = {
            tuple(names[name] for name in group): formula
            for group, formula in layers.formulas(module, names.keys(), alone).items()
        }
        if formulas:
            yield Layer(path or type(module).__name__, module, formulas)


def _owners(network: nn.Module, parameters: Iterable[nn.Parameter]) -> Iterator[str]:
    """Yield the modules that parameters belong to, with their class."""
    wanted = {id(parameter) for parameter in parameters}
    for path, module in network.named_modules():
        if any(id(parameter) in wanted for parameter in module.parameters(recurse=False)):
            yield f"{path} ({type(module).__name__})" if path else type(module).__name__


@contextmanager
def _frozen(network: nn.Module, kept: Iterable[nn.Parameter]) -> Iterator[None]:
    """Freeze all parameters but the ``kept``, and set evaluation mode; restore both afterwards."""
    free = [parameter for parameter in network.parameters() if parameter.requires_grad]
    training = [module for module in network.modules() if module.training]
    held = set(map(id, kept))
    try:
        for parameter in free:
            parameter.requires_grad_(id(parameter) in held)
        for module in training:
            module.training = False
        yield
    finally:
        for parameter in free:
            parameter.requires_grad_()
        for module in training:
            module.training = True
