"""Train what follows the encoder, and nothing of the encoder."""

from dataclasses import dataclass
from typing import ClassVar

from trainer.model import Network
from trainer.tuning import anatomy
from trainer.tuning.methods.base import Attached, train_only


@dataclass(frozen=True, slots=True)
class HeadOnly:
    """The head is trained. The backward pass ends above the encoder, so a step costs little more than a forward."""

    name: ClassVar[str] = "head_only"
    rate_factor: ClassVar[float] = 1.0

    def attach(self, network: Network, steps: int) -> Attached:  # noqa: ARG002 - the protocol's
        """Let the head's parameters require grad."""
        train_only(network, anatomy.head(network))
        return Attached(network)
