"""Which parameters of a network a gradient is taken of. Frozen ones never count: no training step moves them."""

import re
from collections.abc import Callable
from typing import Literal

from torch import nn

from importance.errors import InvalidInput

Subset = Literal["all", "head", "trainable"] | Callable[[str], bool]
"""``all`` without position and type embeddings, ``head`` what lies behind the encoder, ``trainable`` whatever requires
grad (of a LoRA model: its matrices and the head), or a predicate on parameter names."""

_POSITIONS = re.compile(r"position|token_type|(^|\.)wpe\.")
"""Names of the embeddings of positions and types in transformers."""


def choose(network: nn.Module, subset: Subset) -> dict[str, nn.Parameter]:
    """Return the chosen parameters by name; a tied one appears once, under its first name.

    >>> network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    >>> list(choose(network, lambda name: name.startswith("1.")))
    ['1.weight', '1.bias']
    """
    wanted = _predicate(network, subset)
    chosen = {name: weight for name, weight in network.named_parameters() if weight.requires_grad and wanted(name)}
    if not chosen:
        raise InvalidInput(f"no parameter of {type(network).__name__} that requires grad is in subset {subset!r}")
    return chosen


def _predicate(network: nn.Module, subset: Subset) -> Callable[[str], bool]:
    if callable(subset):
        return subset
    if subset == "trainable":
        return lambda _: True
    if subset == "all":
        return lambda name: _POSITIONS.search(name) is None
    if subset == "head":
        head = {id(weight) for module in _head(network) for weight in module.parameters()}
        names = {name for name, weight in network.named_parameters() if id(weight) in head}
        return names.__contains__
    raise InvalidInput(f"parameter subset {subset!r} is unknown; choose all, head, trainable, or a predicate on names")


def _head(network: nn.Module) -> list[nn.Module]:
    """Return the modules next to the encoder, which is the child that holds the word embeddings."""
    module = network
    while not isinstance(module, nn.Embedding):
        encoder = next((child for child in module.children() if _embeddings(child)), None)
        if encoder is None:
            break
        siblings = [
            child for child in module.children() if child is not encoder and any(True for _ in child.parameters())
        ]
        if siblings:
            return siblings
        module = encoder
    raise InvalidInput(f"{type(network).__name__} has no head next to an encoder: choose parameters by name")


def _embeddings(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Embedding) for part in module.modules())
