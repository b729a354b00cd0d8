"""Make the parts of a version's `State`, each of samples of the stream that were kept without regard to importance.

Pure: tensors in, tensors out. The trainer decides when, and for which samples.
"""

import torch
from torch import Tensor

from importance.estimators.base import Forward, two_or_more
from importance.estimators.state import State

CENTRES = 64
"""Centres that a version keeps: 32 KB at H = 128."""

PAIRS = 65_536
"""(query, item) numbers that a version keeps: 1.1 MB."""

_PRIOR = 1.0  # of the fitted layer: as strong as a few samples, so that a short holdout moves it little
_ITERATIONS = 100


def fit_holdout(forward: Forward, start: Tensor) -> Tensor:
    """Return a last layer [C, H + 1] for h, fitted to these samples: argmin Σ ℓ + ½‖W − W₀‖², W₀ = ``start``.

    Where there is little to fit it stays what it was, and `rho` near 0. Computed in float64, always alike.
    """
    inputs, labels = with_one(forward.inputs.double()), forward.label_index.squeeze(1)
    origin = start.detach().double()
    weight = origin.clone().requires_grad_()
    search = torch.optim.LBFGS([weight], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        search.zero_grad()
        logits = two_or_more(inputs @ weight.T)
        value = torch.nn.functional.cross_entropy(logits, labels, reduction="sum")
        value = value + _PRIOR / 2 * (weight - origin).square().sum()
        torch.autograd.backward(value)
        return value

    with torch.enable_grad():
        search.step(objective)  # type: ignore[no-untyped-call]  # torch gives it no types
    return weight.detach().float()


def validation_gradient(forward: Forward) -> Tensor:
    """Return the mean of e·(h, 1)ᵀ over these samples, [C, H + 1]: the gradient of their mean loss in the last layer.

    >>> seen = Forward(torch.zeros(1, 1), torch.tensor([[2.0]]), labels=torch.tensor([1]))
    >>> validation_gradient(seen).tolist()
    [[-1.0, -0.5]]
    """
    return (forward.error.T @ with_one(forward.inputs) / len(forward.logits)).detach().float()


def choose_centres(hidden: Tensor, count: int = CENTRES) -> Tensor:
    """Choose at most ``count`` rows of h [n, H] such that the farthest row is near one (k-center, Gonzalez 1985).

    Greedy, from the row nearest the mean; at most twice as far as the best choice would be.

    >>> choose_centres(torch.tensor([[0.0], [1.0], [9.0], [4.0]]), 2).tolist()
    [[4.0], [9.0]]
    """
    rows = hidden.detach().float()
    chosen = [int((rows - rows.mean(dim=0)).square().sum(dim=1).argmin())]
    nearest = (rows - rows[chosen[0]]).square().sum(dim=1)
    while len(chosen) < min(count, len(rows)) and float(nearest.max()) > 0:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (rows - rows[chosen[-1]]).square().sum(dim=1))
    return rows[chosen]


def count_forgotten(state: State, pairs: Tensor, right: Tensor, capacity: int = PAIRS) -> State:
    """Return the state after training met ``pairs`` [n] in this order, and the model was ``right`` [n] or not on each.

    Above ``capacity``, the pairs with the lowest forgetting are evicted; among equal ones the largest hashes.

    >>> seen = count_forgotten(State(), torch.tensor([7, 5, 7, 7]), torch.tensor([True, True, False, True]))
    >>> seen.met.tolist(), seen.forgotten.tolist(), seen.was_right.tolist()
    ([5, 7], [0, 1], [True, True])
    """
    counts: dict[int, list[int]] = {}
    if state.met is not None and state.forgotten is not None and state.was_right is not None:
        columns = (state.met.tolist(), state.forgotten.tolist(), state.was_right.tolist())
        counts = {pair: [times, last] for pair, times, last in zip(*columns, strict=True)}
    for pair, now in zip(pairs.tolist(), right.tolist(), strict=True):
        times, before = counts.get(pair, (0, False))
        counts[pair] = [times + int(before and not now), now]
    kept = sorted(sorted(counts, key=lambda pair: (-counts[pair][0], pair))[:capacity])
    return State(
        **{name: part for name, part in state.parts().items() if name not in ("met", "forgotten", "was_right")},
        met=torch.tensor(kept, dtype=torch.int64),
        forgotten=torch.tensor([counts[pair][0] for pair in kept], dtype=torch.int64),
        was_right=torch.tensor([bool(counts[pair][1]) for pair in kept], dtype=torch.bool),
    )


def with_one(inputs: Tensor) -> Tensor:
    """Return (h, 1) [n, H + 1]."""
    return torch.cat([inputs, inputs.new_ones(len(inputs), 1)], dim=1)
