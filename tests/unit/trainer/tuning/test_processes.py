"""What one process does when others compute with it; those are stood in for, as what they send is what is tested."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from importance.sample import Sample
from tests.unit.trainer.tuning.cases import SMALL, rows_of
from trainer import version_directory as versions
from trainer.tuning import Optimisation, TrainingLoop
from trainer.tuning.increment import prepared
from trainer.tuning.processes import Processes


class Done:
    def wait(self) -> bool:
        return True


class Adding:
    """Others that add the same to every sum."""

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def allreduce(self, tensors: list[Tensor]) -> Done:
        for tensor in tensors:
            tensor.add_(self.value)
        return Done()


def losses(directory: Path, sample: Sample, number: int) -> list[float]:
    """Of two steps over one row again and again, of which nothing is learned: only what is dropped differs."""
    data = prepared(versions.load(directory), rows_of([sample] * 40, np.ones(40, np.int64)), SMALL, 1)
    optimisation = Optimisation(16, learning_rate=1e-30)
    loop = TrainingLoop(versions.load(directory), data, optimisation, 1, Processes(number, 2, Adding()))
    return [loop.step() for _ in range(2)]


def test_no_two_steps_or_processes_drop_the_same(first: Path, samples: list[Sample]) -> None:
    first_of, second_of = (losses(first, samples[0], number) for number in (0, 1))
    assert len({*first_of, *second_of}) == 4
    assert losses(first, samples[0], 1) == second_of


def test_a_parameter_without_a_gradient_in_any_process_keeps_none() -> None:
    used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    used.grad = torch.ones(3)
    Processes(0, 2, Adding()).sum_gradients([used, unused])
    assert unused.grad is None
    torch.testing.assert_close(used.grad, torch.ones(3))
    Processes(0, 2, Adding(1.0)).sum_gradients([used, unused])  # another process has one of it
    torch.testing.assert_close(unused.grad, torch.ones(2))
    torch.testing.assert_close(used.grad, torch.full((3,), 2.0))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_processes_agree_only_where_all_have_the_same(value: float) -> None:
    class Other(Adding):
        def allreduce(self, tensors: list[Tensor]) -> Done:
            tensors[0] += tensors[0] + value
            return Done()

    assert Processes(0, 2, Other()).agree({"w": torch.ones(3), "step": torch.tensor(2.0)}) is (value == 0)
