"""What estimators with a memory read: a frozen snapshot that was made when its model version was evaluated.

A score is thereby a function of sample and version, and never of the batch or of what was scored before. The functions
here make the parts of a snapshot, each from samples of the stream that were kept without regard to importance.
"""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """The memory of one version; each part is absent until it was made. H is the width of h, C that of the logits.

    holdout: [C, H + 1], weight and bias of a last layer fitted to samples that selection never ranks.
    validation: [C, H + 1], the mean of e·(h, 1)ᵀ over those samples: the last layer's gradient.
    direction: [P], the mean of their projected gradients.
    centres: [M, H], points so chosen that every h of those samples is near one.
    met, forgotten: [K] int64, the (query, item) numbers that were met in training, rising, and how often the model
    went from right to wrong on each; ``was_right`` [K] is its last answer.
    """

    holdout: Tensor | None = None
    validation: Tensor | None = None
    direction: Tensor | None = None
    centres: Tensor | None = None
    met: Tensor | None = None
    forgotten: Tensor | None = None
    was_right: Tensor | None = None

    def to(self, device: torch.device | str) -> "State":
        """Return the same on another device."""
        return replace(self, **{name: part.to(device) for name, part in self.parts().items()})

    def parts(self) -> dict[str, Tensor]:
        """Return the parts that are there, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part for name, part in found.items() if part is not None}
