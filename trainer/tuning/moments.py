"""AdamW with moments that outlive a fine-tune: the next one continues with those that the version carries."""

import torch
from torch import Tensor, nn

from trainer.version_directory import Weights

_PARTS = ("exp_avg", "exp_avg_sq", "step")


def trained(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, by name."""
    return {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}


def put_moments(network: nn.Module, optimizer: torch.optim.Optimizer, moments: Weights) -> None:
    """Let the optimizer continue with copies of ``moments``, by name, where a trained parameter has them complete."""
    for name, parameter in trained(network).items():
        kept = {part: moments.get(f"{name}.{part}") for part in _PARTS}
        if all(value is not None for value in kept.values()):
            optimizer.state[parameter] = {part: _converted(value, parameter, part) for part, value in kept.items()}


def moments_of(network: nn.Module, optimizer: torch.optim.Optimizer) -> Weights:
    """Return the optimizer's moments by the names that its parameters have in the network, not copied.

    Once a method has merged what it added, those are the moments of the plain weights that it trained. Moments of
    others describe weights that have moved since, and are dropped.
    """
    return {
        f"{name}.{part}": optimizer.state[parameter][part].detach()
        for name, parameter in network.named_parameters()
        if parameter in optimizer.state
        for part in _PARTS
    }


def _converted(value: Tensor | None, parameter: Tensor, part: str) -> Tensor:
    """Return a copy on the device of its parameter; the count of steps stays on the CPU, as AdamW keeps it."""
    assert value is not None
    return value.clone() if part == "step" else value.clone().to(parameter.device)
