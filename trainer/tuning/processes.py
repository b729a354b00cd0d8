"""One fine-tune in several processes, as torchrun starts them: each computes a share of every batch.

Every process has the same version, rows and seed, and makes the same steps: gradients are summed over all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, distributed, nn

from importance.arrays import Integers


@dataclass(frozen=True, slots=True)
class Processes:
    """How many compute a batch together, and which of them this one is, from 0."""

    number: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> "Processes":
        """Return the group of torch.distributed that this process has joined, or this process alone."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    def share(self, rows: Integers) -> Integers:
        """Return the part of a batch that this process computes.

        >>> [Processes(number, 2).share(np.arange(5)).tolist() for number in (0, 1)]
        [[0, 1, 2], [3, 4]]
        """
        return np.array_split(rows, self.count)[self.number]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over all processes; one that computed nothing has zeros."""
        if self.count == 1:
            return
        found = list(parameters)
        grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in found]
        flat = self.sum(torch.cat([grad.reshape(-1) for grad in grads]))
        parts = torch.split(flat, [grad.numel() for grad in grads])
        for parameter, part in zip(found, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.count > 1:
            distributed.all_reduce(tensor)
        return tensor
