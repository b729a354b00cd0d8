"""Train every weight of the network."""

from dataclasses import dataclass
from typing import ClassVar

from trainer.model import Network
from trainer.tuning.methods.base import Attached, train_only


@dataclass(frozen=True, slots=True)
class Full:
    """Every weight is trained, and the next version continues with every moment of Adam."""

    name: ClassVar[str] = "full"
    rate_factor: ClassVar[float] = 1.0

    def attach(self, network: Network, steps: int) -> Attached:  # noqa: ARG002 - the protocol's
        """Let every parameter require grad."""
        train_only(network, network.parameters())
        return Attached(network)
