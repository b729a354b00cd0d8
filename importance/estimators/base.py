"""What an estimator is given, and what it is: a name, its needs, and a formula over one shared forward pass."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from importance.errors import InvalidInput


@dataclass(frozen=True, eq=False, slots=True)
class Forward:
    """One forward pass over n samples, from which every estimator is computed.

    logits: [n, C]; C = 1 is a binary model, p = (1 − σ(z), σ(z)).
    hidden: [n, H], the **input** of the final Linear, after the activation; ``has_bias`` tells of that layer.
    labels: [n], classes as integers.
    embeddings: [n, T, D], word-embedding outputs that require grad and that the logits were computed from.
    mask: [n, T], true (or 1) where a token is no padding; absent: no padding.
    """

    logits: Tensor
    hidden: Tensor | None = None
    has_bias: bool = True
    labels: Tensor | None = None
    embeddings: Tensor | None = None
    mask: Tensor | None = None


_FIELDS = {"logits": "logits", "hidden": "hidden", "label": "labels", "embeddings": "embeddings"}


@dataclass(frozen=True, slots=True)
class Estimator:
    """A score of importance: ``needs`` is a subset of logits, hidden, label and embeddings.

    Called with a `Forward` it returns [n] float32 on the logits' device, detached, at least 0. The score of a sample
    never depends on its neighbours in the batch.
    """

    name: str
    needs: frozenset[str]
    formula: Callable[[Forward], Tensor]

    def __call__(self, forward: Forward) -> Tensor:
        """The scores [n] of the samples of one forward pass."""
        for need in sorted(self.needs):
            if getattr(forward, _FIELDS[need]) is None:
                raise InvalidInput(f"estimator {self.name} needs {need}, and the forward pass has none: choose another")
        return self.formula(forward).detach().float()


def row_norm(rows: Tensor) -> Tensor:
    """The L2 norm of each row: [n, …] to [n], in float32."""
    norm: Tensor = torch.linalg.vector_norm(rows.float().flatten(1), dim=1)
    return norm
