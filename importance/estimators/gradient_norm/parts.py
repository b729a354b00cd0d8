"""What one call of a layer adds to a parameter's gradient, per sample, in a form that is cheap to square."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from importance.estimators.gradient_norm import squares
from importance.estimators.gradient_norm.inputs import Inputs


@dataclass(frozen=True, eq=False, slots=True)
class Outer:
    """A gradient Σ_t g_t a_tᵀ: inputs a [n, T, i], gradients g [n, T, o]; with ``bias`` also the bias's, Σ_t g_t."""

    inputs: Inputs
    gradients: Tensor
    bias: bool = False

    def square(self) -> Tensor:
        """Return ‖·‖² [n]."""
        if self.inputs.gram is not None:
            return squares.outer_given_gram(self.inputs.gram, self.gradients, self.bias)
        return squares.outer(self.inputs.rows, self.gradients, self.bias)


@dataclass(frozen=True, eq=False, slots=True)
class Lookup:
    """A gradient Σ_t onehot(id_t) g_tᵀ: ids [n, T], gradients g [n, T, D]."""

    ids: Tensor
    gradients: Tensor

    def square(self) -> Tensor:
        """Return ‖·‖² [n]."""
        return squares.lookup(self.ids, self.gradients)


@dataclass(frozen=True, eq=False, slots=True)
class Vector:
    """A gradient written out, of a bias or a scale: [n, D]."""

    values: Tensor

    def square(self) -> Tensor:
        """Return ‖·‖² [n]."""
        return squares.vector(self.values)


Part = Outer | Lookup | Vector


def square(parts: Sequence[Part]) -> Tensor:
    """Return ‖sum of the parts‖² [n]: of a parameter that is used in several modules, so that the cross terms count."""
    if len(parts) == 1:
        return parts[0].square()
    vectors = [part.values for part in parts if isinstance(part, Vector)]
    if vectors:
        return squares.vector(torch.stack(vectors).sum(dim=0))
    outers = [part for part in parts if isinstance(part, Outer)]
    lookups = [part for part in parts if isinstance(part, Lookup)]
    if not lookups:
        return squares.outer(*_joined(outers), bias=outers[0].bias)
    ids = torch.cat([part.ids for part in lookups], dim=1)
    by_lookup = torch.cat([part.gradients for part in lookups], dim=1)
    total = squares.lookup(ids, by_lookup)
    if outers:
        inputs, by_outer = _joined(outers)
        total = total + squares.outer(inputs, by_outer) + 2 * squares.tied(ids, by_lookup, inputs, by_outer)
    return total


def _joined(parts: Sequence[Outer]) -> tuple[Tensor, Tensor]:
    """Concatenate inputs and gradients of all calls, as if they were positions of one call."""
    return torch.cat([part.inputs.rows for part in parts], dim=1), torch.cat([part.gradients for part in parts], dim=1)
