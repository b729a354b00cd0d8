"""The processes that compute a fine-tune together, each a share of every batch (data parallelism).

Every process has the same version, rows and seed, and makes the same steps: gradients are summed over all of them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
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
    """What joins the processes: a backend of torch.distributed, for tensors on the CPU."""

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
        """Replace the gradients by their sums over all processes; a parameter that has none in any keeps none.

        Raises `ProcessLost`.
        """
        if self.joined_by is None:
            return
        found = list(parameters)
        grads = [torch.zeros_like(one) if one.grad is None else one.grad for one in found]
        has = grads[0].new_tensor([one.grad is not None for one in found])
        *parts, has = torch.split(
            self.sum(torch.cat([*(grad.reshape(-1) for grad in grads), has])),
            [*(grad.numel() for grad in grads), len(found)],
        )
        for parameter, part, any_has in zip(found, parts, has.tolist(), strict=True):
            parameter.grad = part.view_as(parameter).clone() if any_has else None

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum over all processes, computed in the memory of the host. Raises `ProcessLost`."""
        if self.joined_by is None:
            return tensor
        summed = tensor.cpu()
        try:
            self.joined_by.allreduce([summed]).wait()
        except RuntimeError as error:  # of the library, whose text depends on what its socket met
            raise ProcessLost(str(error).partition("\n")[0]) from error
        return summed.to(tensor.device)

    def agree(self, tensors: Mapping[str, Tensor]) -> bool:
        """Return whether all processes have the same tensors, to the bit. Raises `ProcessLost`.

        >>> Processes().agree({"weight": torch.ones(3)})
        True
        """
        if self.joined_by is None:
            return True
        digest = blake2b(digest_size=24)
        for name in sorted(tensors):
            digest.update(name.encode())
            digest.update(tensors[name].detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        own = torch.from_numpy(np.frombuffer(digest.digest(), ">u4").astype(np.float64))  # their sums are exact
        return bool(torch.equal(self.sum(own.clone()), own * self.count))
