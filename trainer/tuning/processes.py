"""The processes that compute a fine-tune together, each a share of every batch (data parallelism).

Every process has the same version, rows and seed, and makes the same steps: gradients are summed over all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from importance.arrays import Integers


class Reduction(Protocol):
    """Work under way on tensors of all processes."""

    def wait(self) -> bool:
        """Return when it is done; RuntimeError where a process does not answer."""


class Collective(Protocol):
    """What joins the processes: a backend of torch.distributed."""

    def allreduce(self, tensors: list[Tensor]) -> Reduction:
        """Begin to replace the tensors by their sums over all processes."""


class ProcessLost(Exception):
    """Another process of the group does not answer any more."""


@dataclass(frozen=True, eq=False, slots=True)
class Processes:
    """How many compute a batch together, which of them this one is (its rank), from 0, and what joins them."""

    number: int = 0
    count: int = 1
    joined_by: Collective | None = None

    def share(self, rows: Integers) -> Integers:
        """Return the part of a batch that this process computes.

        >>> [Processes(number, 2).share(np.arange(5)).tolist() for number in (0, 1)]
        [[0, 1, 2], [3, 4]]
        """
        return np.array_split(rows, self.count)[self.number]

    def seed(self, seed: int, step: int) -> int:
        """Return the seed of what this process draws in a step, so that no two steps or processes draw the same.

        >>> len({Processes(number, 2).seed(7, step) for number in (0, 1) for step in range(100)})
        200
        """
        return int(np.random.SeedSequence([seed, self.number, step]).generate_state(1, np.uint64)[0])

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over all processes; one that computed nothing has zeros.

        Raises `ProcessLost`.
        """
        if self.count == 1:
            return
        found = list(parameters)
        grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in found]
        flat = self.sum(torch.cat([grad.reshape(-1) for grad in grads]))
        parts = torch.split(flat, [grad.numel() for grad in grads])
        for parameter, part in zip(found, parts, strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes, in place. Raises `ProcessLost`."""
        if self.joined_by is not None:
            try:
                self.joined_by.allreduce([tensor]).wait()
            except RuntimeError as error:  # of the library, whose text depends on what its socket met
                raise ProcessLost(str(error).partition("\n")[0]) from error
        return tensor
