"""The projected gradient of each sample: which networks it can be told of. What it is, `trainer` tests on real ones."""

import pytest
import torch
from torch import nn

from importance.errors import InvalidInput
from importance.estimators.projection import Projection
from tests.networks import deberta


@pytest.mark.parametrize("samples", [5, 2])
def test_rows_shared_by_the_batch_are_refused_with_the_layers_name(samples: int) -> None:
    """Of 2 samples the shared rows divide evenly: nothing else would tell."""
    case = deberta()
    with (
        Projection(case.network).watch() as projected,
        pytest.raises(InvalidInput, match=rf"query_proj was given 1 rows for {samples} samples"),
    ):
        projected.gradients(case.losses(torch.arange(samples)))


def test_a_layer_that_the_losses_do_not_depend_on_may_read_any_rows() -> None:
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 1)])
    x = torch.ones(3, 2, requires_grad=True)
    with Projection(network).watch() as projected:
        network[0](torch.ones(1, 2))
        assert projected.gradients(network[1](x).squeeze(1)).shape == (3, 2)
