"""The parts of a network that a method may treat apart: encoder, head, and the encoder's blocks and linear layers.

Found by structure, not by names, so that any sequence classifier of transformers has them.
"""

from typing import Any

from torch import nn
from transformers.pytorch_utils import Conv1D

from importance.errors import InvalidInput
from trainer.model import InteractionModel, Network

LINEAR = (nn.Linear, Conv1D)
"""What computes W x + b; a Conv1D, of GPT-2, keeps W transposed."""


def encoder(network: Network) -> Any:
    """Return the part that turns tokens into vectors."""
    return network.bert if isinstance(network, InteractionModel) else network.network.base_model


def head(network: Network) -> list[nn.Parameter]:
    """Return the parameters of what follows the encoder, the final Linear at least."""
    encoded = {id(parameter) for parameter in encoder(network).parameters()}
    final = {id(parameter) for parameter in network.final.parameters()}
    return [one for one in network.parameters() if id(one) not in encoded or id(one) in final]


def linear_layers(network: Network) -> dict[str, Any]:
    """Return the encoder's linear layers, by name in the network."""
    return {
        name: module
        for name, module in _of_encoder(network).items()
        if isinstance(module, LINEAR) and module is not network.final
    }


def blocks(network: Network) -> list[str]:
    """Return the names of the encoder's transformer blocks, in order: the innermost members of module lists."""
    lists = [name for name, module in _of_encoder(network).items() if isinstance(module, nn.ModuleList)]
    innermost = [one for one in lists if not any(other.startswith(f"{one}.") for other in lists)]
    return [f"{one}.{number}" for one in innermost for number, _ in enumerate(network.get_submodule(one).children())]


def recompute(network: Network, on: bool) -> None:
    """Let the encoder compute activations again in the backward pass; `InvalidInput` where it cannot."""
    found = encoder(network)
    if not getattr(found, "supports_gradient_checkpointing", False):
        raise InvalidInput(
            f"{type(found).__name__} cannot compute its activations again: set WEIR_TRAIN_RECOMPUTE to false"
        )
    if on:
        found.gradient_checkpointing_enable({"use_reentrant": False})
    else:
        found.gradient_checkpointing_disable()


def _of_encoder(network: Network) -> dict[str, nn.Module]:
    """Return the encoder's modules by name in the network."""
    inside = {id(module) for module in encoder(network).modules()}
    return {name: module for name, module in network.named_modules() if id(module) in inside}
