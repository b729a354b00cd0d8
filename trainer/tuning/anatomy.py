"""The parts of a network that a method may treat apart: encoder, head, and the encoder's blocks and linear layers.

Found by structure, not by names, so that any sequence classifier of transformers has them.
"""

from torch import nn

from trainer.model import InteractionModel, Network


def encoder(network: Network) -> nn.Module:
    """Return the part that turns tokens into vectors."""
    found: nn.Module = network.bert if isinstance(network, InteractionModel) else network.network.base_model
    return found


def head(network: Network) -> list[nn.Parameter]:
    """Return the parameters of what follows the encoder, the final Linear at least."""
    encoded = {id(parameter) for parameter in encoder(network).parameters()}
    final = {id(parameter) for parameter in network.final.parameters()}
    return [one for one in network.parameters() if id(one) not in encoded or id(one) in final]


def linear_layers(network: Network) -> dict[str, nn.Linear]:
    """Return the encoder's linear layers, by name in the network."""
    return {
        name: module
        for name, module in _of_encoder(network).items()
        if isinstance(module, nn.Linear) and module is not network.final
    }


def blocks(network: Network) -> list[str]:
    """Return the names of the encoder's transformer blocks, in order: the innermost members of module lists."""
    lists = [name for name, module in _of_encoder(network).items() if isinstance(module, nn.ModuleList)]
    innermost = [one for one in lists if not any(other.startswith(f"{one}.") for other in lists)]
    return [f"{one}.{number}" for one in innermost for number, _ in enumerate(network.get_submodule(one).children())]


def _of_encoder(network: Network) -> dict[str, nn.Module]:
    """Return the encoder's modules by name in the network."""
    inside = {id(module) for module in encoder(network).modules()}
    return {name: module for name, module in network.named_modules() if id(module) in inside}
