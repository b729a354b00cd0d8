"""The moving average of the weights over the steps of a fine-tune: Polyak & Juditsky 1992, Ruppert 1988."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.version_directory import Weights


def share_of_last(decay: float, steps: int) -> float:
    """Return the part (1 − d) / (1 − dᵗ) of the last weights in the average after t ``steps``, d the decay.

    The average is then Σ dᵗ⁻ⁱ wᵢ / Σ dᵗ⁻ⁱ over the weights wᵢ after step i: the start has no part in it, which is the
    bias correction of Kingma & Ba 2015. Near d = 1 it is their mean.

    >>> [round(share_of_last(0.5, steps), 3) for steps in (1, 2, 3, 20)]
    [1.0, 0.667, 0.571, 0.5]
    """
    return (1 - decay) / (1 - decay**steps)


@torch.no_grad()
def averaged(average: Weights, last: Mapping[str, Tensor], decay: float, steps: int) -> Weights:
    """Return copies: the average of before moved towards the last weights, which are those after ``steps`` steps."""
    if steps == 1:
        return {name: weight.detach().clone() for name, weight in last.items()}
    share = share_of_last(decay, steps)
    return {name: torch.lerp(average[name], weight.detach(), share) for name, weight in last.items()}
