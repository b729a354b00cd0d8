"""The projected gradient of each sample: which networks it can be told of. What it is, `trainer` tests on real ones."""

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from importance.errors import InvalidInput
from importance.estimators.projection import Projection
from tests.support.networks import deberta


@pytest.mark.parametrize("samples", [5, 2])
def test_rows_shared_by_the_batch_are_refused_with_the_layers_name(samples: int) -> None:
    """Of 2 samples the shared rows divide evenly: nothing else would tell."""
    case = deberta()
    with (
        Projection(case.network).watch() as projected,
        pytest.raises(InvalidInput, match=rf"query_proj was given 1 rows for {samples} samples"),
    ):
        projected.gradients(case.losses(torch.arange(samples)))


def test_of_a_pass_in_bfloat16_the_projection_is_computed_in_float32() -> None:
    """Small integers: exact in bfloat16, and their sums are not."""
    random = torch.Generator().manual_seed(0)
    x, gradient = (torch.randint(-9, 10, (3, 5, 16), generator=random).float() for _ in range(2))
    layer = nn.Linear(16, 16)
    found = []
    for autocast in (False, True):
        with Projection(layer).watch() as projected:
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                output = layer(x)
            found.append(projected.gradients((output * gradient).sum(dim=(1, 2))))
    torch.testing.assert_close(found[1], found[0], rtol=1e-6, atol=1e-4)


def test_a_layer_that_keeps_its_weight_transposed_is_projected_as_a_linear_one() -> None:
    plain, turned = nn.Linear(3, 5), Conv1D(5, 3)
    turned.weight.data, turned.bias.data = plain.weight.data.T.contiguous(), plain.bias.data
    x = torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(0))
    found = []
    for layer in (plain, turned):
        with Projection(layer).watch() as projected:
            found.append(projected.gradients(layer(x).square().sum(dim=(1, 2))))
    torch.testing.assert_close(found[0], found[1])


def test_a_layer_that_the_losses_do_not_depend_on_may_read_any_rows() -> None:
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 1)])
    x = torch.ones(3, 2, requires_grad=True)
    with Projection(network).watch() as projected:
        network[0](torch.ones(1, 2))
        assert projected.gradients(network[1](x).squeeze(1)).shape == (3, 2)
