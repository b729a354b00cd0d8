"""Fine-tune a model for some steps on samples from the buffer, and keep Adam's moments for the next time.

Importance was applied when the samples were admitted; here it appears only as the loss weight a that undoes the draw.
Independent of where the samples come from and whether the result will be served.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from importance.errors import InvalidInput
from importance.sample import Sample
from trainer.model import losses, positive_probability
from trainer.tokens import Encoded
from trainer.version_directory import INTERACTION, PAIR, Model

Progress = Callable[[int, int, float], None]
"""Called after each step with the steps done, the steps in all, and the step's mean loss in nats."""

Indices = NDArray[np.int64]
LEARNING_RATES = {INTERACTION: 1e-3, PAIR: 1e-4}
"""By kind of network: one that was trained before forgets at the rate that the built-in one needs.

MiniLM on 3,000 samples of a shop's history, 47 steps: AUC .511 and one answer for all at 1e-3, .637 at 1e-4.
"""
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


@dataclass(frozen=True, slots=True)
class Optimisation:
    """How a step is made: AdamW over batches of ``batch_size``, gradients clipped to ``clip_norm``.

    Without a ``learning_rate`` it is the network's of `LEARNING_RATES`.
    """

    batch_size: int = 64
    learning_rate: float | None = None
    weight_decay: float = 0.01
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot train."""
        if self.batch_size < 1:
            raise InvalidInput(f"batch size is {self.batch_size}; it must be at least 1")
        for name, value in (("learning_rate", self.learning_rate), ("clip_norm", self.clip_norm)):
            if value is not None and not value > 0:
                raise InvalidInput(f"{name} is {value}; it must be above 0")


@dataclass(frozen=True, slots=True)
class FineTuning:
    """An increment: ``steps`` batches, of which ``fresh_share`` is newer than the last watermark and the rest older."""

    steps: int = 32
    fresh_share: float = 0.5
    optimisation: Optimisation = field(default_factory=Optimisation)

    def __post_init__(self) -> None:
        """Refuse an increment that is none."""
        if self.steps < 1:
            raise InvalidInput(f"steps is {self.steps}; it must be at least 1")
        if not 0 <= self.fresh_share <= 1:
            raise InvalidInput(f"fresh share is {self.fresh_share}; it must be from 0 to 1")


@dataclass(frozen=True, eq=False, slots=True)
class TrainingRows:
    """Samples to learn from, never of the holdout. All [n].

    ``labels`` as they are known now, ``weights`` a ≥ 0 over their mean in the buffer, then clipped: of mean 1 or less.
    ``fresh`` newer than the last watermark.
    """

    samples: Sequence[Sample]
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    fresh: NDArray[np.bool_]

    def __post_init__(self) -> None:
        """Refuse columns of different length."""
        if {len(self.samples)} != {len(self.labels), len(self.weights), len(self.fresh)}:
            raise InvalidInput("training rows need samples, labels, weights and fresh of one length")


@dataclass(frozen=True, eq=False, slots=True)
class TrainingBatches:
    """Encoded samples with ``labels`` and loss ``weights`` [n], and ``batches``: the row numbers of each step."""

    encoded: Encoded
    labels: NDArray[np.int64]
    weights: NDArray[np.float64]
    batches: Sequence[Indices]


@dataclass(frozen=True, eq=False, slots=True)
class Tuned:
    """The model after ``steps``; ``finished`` is False when it was stopped before the last one.

    ``loss`` is the weighted mean over all steps, in nats, of each batch before the step it caused. ``met`` are the
    (query, item) numbers [m] of all batches' rows, in order, and ``right`` [m] whether the model was, on each.
    """

    model: Model
    steps: int
    loss: float
    finished: bool
    met: Indices
    right: NDArray[np.bool_]


def fine_tune(
    model: Model,
    rows: TrainingRows,
    tuning: FineTuning,
    seed: int,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Tuned:
    """Train ``model``, in place, on ``rows``: half fresh and half older, each drawn uniformly without replacement.

    The same seed, model and rows give the same weights. The seed must not depend on keys of the buffer's draw.
    """
    if not len(rows.samples):
        raise InvalidInput("there is nothing to train on: the buffer holds no training rows")
    rng = np.random.default_rng(seed)
    batches = list(mixed_batches(rows.fresh, tuning, rng))
    used, positions = np.unique(np.concatenate(batches), return_inverse=True)
    encoded = model.tokens.encode([rows.samples[row] for row in used])
    split = np.split(positions, np.cumsum([len(batch) for batch in batches])[:-1])
    prepared = TrainingBatches(encoded, rows.labels[used], rows.weights[used], split)
    return train(model, prepared, tuning.optimisation, seed, progress, stop)


def mixed_batches(fresh: NDArray[np.bool_], tuning: FineTuning, rng: np.random.Generator) -> Iterator[Indices]:
    """Return the row numbers of each batch: ``fresh_share`` of it from fresh rows, the rest from older ones.

    Inside each part the draw is a shuffle, repeated when it is used up. Where one part is empty, the other fills in.
    """
    size = tuning.optimisation.batch_size
    parts = (np.flatnonzero(fresh), np.flatnonzero(~fresh))
    fresh_rows = round(size * tuning.fresh_share) if len(parts[1]) else size
    if not len(parts[0]):
        fresh_rows = 0
    draws = [_endless(part, rng) for part in parts]
    for _ in range(tuning.steps):
        taken = [_take(draws[0], fresh_rows), _take(draws[1], size - fresh_rows)]
        yield np.concatenate(taken)


def train(
    model: Model,
    data: TrainingBatches,
    optimisation: Optimisation,
    seed: int,
    progress: Progress | None = None,
    stop: Event | None = None,
) -> Tuned:
    """Take one AdamW step for each batch, on the weighted loss; dropout comes from ``seed``."""
    network, device = model.network, model.device
    network.requires_grad_(True)
    optimizer = _optimizer(model, optimisation)
    wanted = torch.from_numpy(data.labels).to(device)
    weighted = torch.from_numpy(data.weights).float().to(device)
    total, done = 0.0, 0
    right: list[Tensor] = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network.train()
        for rows in data.batches:
            if stop is not None and stop.is_set():
                break
            at = torch.from_numpy(rows).to(device)
            output = network(data.encoded.batch(rows).to(device))
            loss: Tensor = (losses(output.logits, wanted[at]) * weighted[at]).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), optimisation.clip_norm)
            optimizer.step()
            total, done = total + loss.item(), done + 1
            right.append((positive_probability(output.logits.detach()) >= 0.5) == wanted[at].bool())
            if progress is not None:
                progress(done, len(data.batches), loss.item())
    optimizer.zero_grad()
    network.eval()
    moments = _moments(network, optimizer)
    met = data.encoded.pairs(np.concatenate([*data.batches[:done], np.empty(0, np.int64)]))
    answers = torch.cat([*right, torch.empty(0, dtype=torch.bool, device=device)]).cpu().numpy()
    tuned = replace(model, moments=moments)
    return Tuned(tuned, done, total / max(done, 1), done == len(data.batches), met, answers)


def _optimizer(model: Model, optimisation: Optimisation) -> torch.optim.AdamW:
    """Create an AdamW that continues with the model's moments, where it has them."""
    optimizer = torch.optim.AdamW(
        model.network.parameters(),
        lr=optimisation.learning_rate or LEARNING_RATES[model.card.kind],
        weight_decay=optimisation.weight_decay,
    )
    for name, parameter in model.network.named_parameters():
        kept = {part: (model.moments or {}).get(f"{name}.{part}") for part in _MOMENTS}
        if all(value is not None for value in kept.values()):
            optimizer.state[parameter] = {part: _converted(value, parameter, part) for part, value in kept.items()}
    return optimizer


def _converted(value: Tensor | None, parameter: Tensor, part: str) -> Tensor:
    """Return a copy on the device of its parameter; the count of steps stays on the CPU, as AdamW keeps it."""
    assert value is not None
    return value.clone() if part == "step" else value.clone().to(parameter.device)


def _moments(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"{name}.{part}": optimizer.state[parameter][part].detach()
        for name, parameter in network.named_parameters()
        if parameter in optimizer.state
        for part in _MOMENTS
    }


def _endless(rows: Indices, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from rng.permutation(rows).tolist()


def _take(draw: Iterator[int], count: int) -> Indices:
    return np.fromiter((next(draw) for _ in range(count)), np.int64, count)
