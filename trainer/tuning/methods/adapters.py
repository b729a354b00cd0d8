"""Bottleneck adapters: a thin detour after each block of the encoder.

Our own, as peft has none. Linear, unlike those of Houlsby et al. 2019: a version is plain weights that every worker
loads, and with a non-linearity between its two matrices a detour could not be merged into the layer before it.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from importance.errors import InvalidInput
from trainer.model import Network
from trainer.tuning import anatomy
from trainer.tuning.methods.base import Attached, train_only
from trainer.tuning.methods.lora import refuse_rank


@dataclass(frozen=True, slots=True)
class Adapters:
    """h + U D h after the last linear layer of each block, D [r, width] and U [width, r], U = 0 at first.

    Placed as in Pfeiffer et al. 2021, arXiv:2005.00247, without the non-linearity; the head trains in full.
    """

    rank: int = 8
    name: ClassVar[str] = "adapters"
    rate_factor: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        """Refuse a rank that holds nothing."""
        refuse_rank(self.rank)

    def attach(self, network: Network, steps: int) -> Attached:  # noqa: ARG002 - the protocol's
        """Put a detour behind the last linear layer of each block; `InvalidInput` where the encoder has no block."""
        head, layers = anatomy.head(network), anatomy.linear_layers(network)
        last = {block: name for block in anatomy.blocks(network) for name in layers if name.startswith(f"{block}.")}
        if not last:
            raise InvalidInput(
                f"{type(anatomy.encoder(network)).__name__} has no block for an adapter to follow: "
                "choose another fine-tuning method"
            )
        detours = {name: _Detour(layers[name], self.rank) for name in last.values()}
        for name, detour in detours.items():
            network.set_submodule(name, detour)
        added = [one for detour in detours.values() for part in (detour.down, detour.up) for one in part.parameters()]
        train_only(network, [*head, *added])
        return _Detoured(network, detours)


class _Detour(nn.Module):
    """A linear layer, and the detour behind it."""

    def __init__(self, layer: Any, rank: int) -> None:
        super().__init__()
        self.layer = layer
        self._outputs = 0 if isinstance(layer, nn.Linear) else 1
        width, device = layer.weight.shape[self._outputs], layer.weight.device
        self.down = nn.Linear(width, rank, bias=False, device=device)
        self.up = nn.Linear(rank, width, bias=False, device=device)
        nn.init.zeros_(self.up.weight)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return h + U D h [..., width] of the layer's output h."""
        hidden: Tensor = self.layer(inputs)
        detour: Tensor = self.up(self.down(hidden))
        return hidden + detour

    @torch.no_grad()
    def merged(self) -> Any:
        """Return the layer alone, with (I + U D) W and (I + U D) b as its weight and bias."""
        for parameter in self.layer.parameters():
            outputs_first = parameter.movedim(self._outputs, 0) if parameter.ndim > 1 else parameter
            outputs_first.add_(self.up.weight @ (self.down.weight @ outputs_first))
        return self.layer


@dataclass(eq=False)
class _Detoured(Attached):
    """A network with detours, by the names of the layers that they follow."""

    detours: dict[str, _Detour]

    def merge(self) -> None:
        """Put the plain layers back."""
        for name, detour in self.detours.items():
            self.network.set_submodule(name, detour.merged())
        super().merge()
