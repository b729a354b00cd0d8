"""LoRA, by peft: a product of two thin matrices is added to each weight of the encoder."""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from importance.errors import InvalidInput
from trainer.model import Network
from trainer.tuning import anatomy
from trainer.tuning.methods.base import Attached, train_only

ADAPTER = "default"  # peft's name of a network's only adapter


@dataclass(frozen=True, slots=True)
class LoRA:
    """W + (α/r)·B A with B = 0 at first, A [r, inputs] and B [outputs, r], α = 2 r; the head trains in full.

    Hu et al. 2022, arXiv:2106.09685. For every linear layer of the encoder.
    """

    rank: int = 8
    name: ClassVar[str] = "lora"
    rate_factor: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        """Refuse a rank that holds nothing."""
        refuse_rank(self.rank)

    def attach(self, network: Network, steps: int) -> Attached:  # noqa: ARG002 - the protocol's
        """Put A and B into every linear layer of the encoder."""
        from peft import LoraConfig, LoraModel

        config = LoraConfig(r=self.rank, lora_alpha=2 * self.rank, **targets(network))
        return inject(network, LoraModel, config, Injected)


@dataclass(eq=False)
class Injected(Attached):
    """A network with adapters of peft. ``tuner`` is the library's, which knows how to merge them."""

    tuner: Any

    def merge(self) -> None:
        """Add each product to its weight, and put the plain layers back."""
        self.tuner.merge_and_unload()
        super().merge()


def refuse_rank(rank: int) -> None:
    """Raise `InvalidInput` for a rank below 1."""
    if rank < 1:
        raise InvalidInput(f"rank is {rank}; it must be at least 1")


def targets(network: Network) -> dict[str, Any]:
    """Return peft's arguments that name the encoder's linear layers, and whether they keep W transposed."""
    layers = anatomy.linear_layers(network)
    return {
        "target_modules": list(layers),
        "fan_in_fan_out": not any(isinstance(layer, nn.Linear) for layer in layers.values()),
    }


def inject(network: Network, tuner: Any, config: Any, kind: type[Injected]) -> Injected:
    """Put peft's adapters into the network, which train together with its head."""
    head = anatomy.head(network)
    plain = {id(parameter) for parameter in network.parameters()}
    attached = kind(network, tuner(network, config, ADAPTER))
    added = [one for one in network.parameters() if id(one) not in plain and one.requires_grad]
    train_only(network, [*head, *added])
    return attached
