"""What an estimator is given, and what it is: a name, its needs, and a formula over one shared forward pass.

Notation: z logits [n, C], p = softmax(z), y label, e = p − onehot(y), h the input of the last layer [n, H].
In float32 a difference such as 1 − p loses most of its digits where the model is sure, which is where ranking matters;
so everything is computed from what is small: probabilities relative to the largest, never subtracted from 1.
One logit is short for the two classes of z = (0, z).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from importance.errors import InvalidInput
from importance.estimators.state import State


@dataclass(frozen=True, eq=False, slots=True)
class Relative:
    """Relative to the largest logit: ``below`` d = z − max z and ``ratio`` exp(d), [n, C ≥ 2].

    ``rest`` S = Σ exp(d) of the others and ``top``, the index of the largest, are [n, 1]; p = exp(d) / (1 + S).
    """

    below: Tensor
    ratio: Tensor
    rest: Tensor
    top: Tensor


@dataclass(frozen=True, eq=False)
class Forward:
    """One forward pass over n samples, from which every estimator is computed.

    What several estimators share is computed at the first that asks, and kept: asking for five costs what one costs.

    logits: [n, C]; C = 1 is a binary model, p = (1 − σ(z), σ(z)).
    hidden: [n, H], the **input** of the final Linear, after the activation; ``has_bias`` is of that layer.
    labels: [n], classes as integers.
    embeddings: [n, T, D], word-embedding outputs that require grad and that the logits were computed from.
    mask: [n, T], true (or 1) where a token is not padding; absent: no padding.
    gradient_norm: [n], the exact ‖∇_θ ℓ‖.
    earlier_norms: [n, K], the same at each of K earlier checkpoints, of which there may be none.
    projection: [n, P], the loss's gradient, randomly projected.
    average_logits: [n, C], those of the model whose weights are the moving average.
    pairs: [n], a number for the (query, item) of each sample.
    state: what the model's version carries for estimators: a frozen snapshot.
    """

    logits: Tensor
    hidden: Tensor | None = None
    has_bias: bool = True
    labels: Tensor | None = None
    embeddings: Tensor | None = None
    mask: Tensor | None = None
    gradient_norm: Tensor | None = None
    earlier_norms: Tensor | None = None
    projection: Tensor | None = None
    average_logits: Tensor | None = None
    pairs: Tensor | None = None
    state: State = field(default_factory=State)

    def has(self, need: str) -> bool:
        """Return whether a need of an estimator is met."""
        holder, name = _FIELDS[need]
        return getattr(self.state if holder == "state" else self, name) is not None

    @cached_property
    def relative(self) -> Relative:
        """Return the probabilities, relative to the largest."""
        logits = two_or_more(self.logits)
        top = logits.argmax(dim=1, keepdim=True)
        below = logits - logits.gather(1, top)
        ratio = below.exp()
        return Relative(below, ratio, ratio.scatter(1, top, 0.0).sum(dim=1, keepdim=True), top)

    @cached_property
    def label_index(self) -> Tensor:
        """Return the labels as an index [n, 1] into two or more classes."""
        assert self.labels is not None
        return class_index(self.labels, max(2, self.logits.shape[1]))

    @cached_property
    def loss(self) -> Tensor:
        """Return −log p_y [n], in nats."""
        seen = self.relative
        return (torch.log1p(seen.rest) - seen.below.gather(1, self.label_index)).squeeze(1)

    @cached_property
    def error(self) -> Tensor:
        """Return the error e = ∂ℓ/∂z [n, C]; of one logit the scalar σ − y.

        e_y is −Σ p_j over the others: p_y − 1 loses 28 % of the norm at a margin of 18 in float32.
        """
        seen = self.relative
        others = (seen.ratio / (1 + seen.rest)).scatter(1, self.label_index, 0.0)
        error = others.scatter(1, self.label_index, -others.sum(dim=1, keepdim=True))
        return error[:, 1:] if self.logits.shape[1] == 1 else error

    @cached_property
    def inputs(self) -> Tensor:
        """Return the hidden vectors h [n, H] in float32 (or better)."""
        assert self.hidden is not None
        return single_or_better(self.hidden)


_FIELDS = {
    "logits": ("forward", "logits"),
    "hidden": ("forward", "hidden"),
    "label": ("forward", "labels"),
    "embeddings": ("forward", "embeddings"),
    "gradient_norm": ("forward", "gradient_norm"),
    "earlier_norms": ("forward", "earlier_norms"),
    "projection": ("forward", "projection"),
    "average": ("forward", "average_logits"),
    "pairs": ("forward", "pairs"),
    "holdout": ("state", "holdout"),
    "validation": ("state", "validation"),
    "direction": ("state", "direction"),
    "centres": ("state", "centres"),
    "forgotten": ("state", "forgotten"),
}
NEEDS = frozenset(_FIELDS)
"""All that an estimator can need."""

BACKWARD = frozenset({"embeddings", "gradient_norm", "projection"})
"""Of these, what takes a backward pass: the forward pass is made with gradients on."""


@dataclass(frozen=True, slots=True)
class Estimator:
    """A score of importance: ``needs`` is a subset of `NEEDS`.

    Called with a `Forward` it returns [n] float32 on the logits' device, detached, at least 0. The score of a sample
    never depends on its neighbours in the batch.
    """

    name: str
    needs: frozenset[str]
    formula: Callable[[Forward], Tensor]

    def __call__(self, forward: Forward) -> Tensor:
        """Return the scores [n] of the samples of one forward pass."""
        for need in sorted(self.needs):
            if not forward.has(need):
                raise InvalidInput(f"estimator {self.name} needs {need}, and the forward pass has none: choose another")
        with torch.no_grad():
            return self.formula(forward).detach().float()


def two_or_more(logits: Tensor) -> Tensor:
    """Return logits [n, C] in float32 (or better) with C ≥ 2; one logit z becomes (0, z), of the same softmax."""
    logits = single_or_better(logits)
    return functional.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits


def single_or_better(values: Tensor) -> Tensor:
    """Return the same in float32, unless it is float64."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def class_index(labels: Tensor, classes: int) -> Tensor:
    """Return labels [n] as an index [n, 1] into classes."""
    index = labels.long().unsqueeze(1)
    if index.numel() and not bool(((index >= 0) & (index < classes)).all()):
        raise InvalidInput(f"labels must be 0 to {classes - 1}, one of {classes} classes")
    return index


def row_norm(rows: Tensor) -> Tensor:
    """Return the L2 norm of each row: [n, …] to [n], in float32 (or better).

    Relative to the largest entry, since squares of less than 1e-19 are lost in float32.

    >>> row_norm(torch.tensor([[3e-30, 4e-30], [0.0, 0.0]]))
    tensor([5.0000e-30, 0.0000e+00])
    """
    rows = single_or_better(rows).flatten(1)
    largest = rows.abs().amax(dim=1, keepdim=True)
    norm: Tensor = torch.linalg.vector_norm(rows / torch.where(largest > 0, largest, 1.0), dim=1)
    return norm * largest.squeeze(1)
