"""The protocol of a fine-tuning method: what it puts into a network, and how that becomes plain weights again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from trainer.model import Network
from trainer.version_directory import Weights


@dataclass(eq=False)
class Attached:
    """A network that a method has prepared: what requires grad is trained. This one holds nothing but the network."""

    network: Network

    def penalty(self) -> Tensor | None:
        """Return what the method adds to the loss, in nats; None when it adds nothing."""
        return None

    def after_step(self, step: int) -> None:
        """Adjust to the step of that number, from 0, that was taken; gradients are still those of the step."""

    def cut(self, average: Weights) -> None:
        """Set to 0, in place, those entries of the weights' average that the method holds at 0 since the last step."""

    def state(self) -> Weights:
        """Return copies of what the method keeps from step to step besides the weights that it trains."""
        return {}

    def restore(self, state: Weights) -> None:
        """Continue from a `state`."""

    def merge(self) -> None:
        """Leave the plain network, of the same parameters by name as before, which computes what this one does."""
        self.network.requires_grad_(True)


class Method(Protocol):
    """A frozen configuration; ``rate_factor`` times the network's learning rate is its default one."""

    name: ClassVar[str]
    rate_factor: ClassVar[float]

    def attach(self, network: Network, steps: int) -> Attached:
        """Prepare a network in evaluation order for so many steps; draws from torch's generator only."""


def train_only(network: Network, parameters: Iterable[nn.Parameter]) -> None:
    """Let exactly these parameters require grad."""
    network.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
