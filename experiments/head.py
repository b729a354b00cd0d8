"""A head on frozen sentence vectors: an MLP that compares a text with its query, trained in milliseconds a step."""

from collections.abc import Callable
from copy import deepcopy
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from experiments.examples import Examples
from experiments.learner import BATCH, STATE_NEEDS, snapshot
from importance.arrays import Floats, Integers, Vectors
from importance.estimators import Estimator, Forward
from importance.estimators.gradient_norm import GradientNorm
from importance.estimators.state import State
from trainer.model import losses, positive_probability
from trainer.tuning import Optimisation

WIDTH = 128
SCORED_AT_ONCE = 2_048
EMA_DECAY = 0.98  # an average over about 50 steps
_DROPOUT = 0.1
_DROPOUT_SEEDS = 100_000  # each round of learning takes one; a run has far fewer


class HeadNetwork(nn.Module):
    """MLP on [u, u·v, |u − v|, cosine, has query] of the vectors u of the text and v of the query."""

    def __init__(self, vector_width: int) -> None:
        super().__init__()
        self.compare = nn.Linear(3 * vector_width + 2, WIDTH)
        self.dropout = nn.Dropout(_DROPOUT)
        self.final = nn.Linear(WIDTH, 1)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits [n, 1] and the input [n, H] of the last layer, for vectors [n, 2, D]."""
        u, v = vectors.unbind(dim=1)
        product = u * v
        cosine = product.sum(dim=1, keepdim=True)  # both have length 1, or v is 0
        has_query = (v != 0).any(dim=1, keepdim=True).to(u.dtype)
        features = torch.cat([u, product, (u - v).abs(), cosine, has_query], dim=1)
        hidden = self.dropout(functional.gelu(self.compare(features)))
        return self.final(hidden), hidden


class HeadLearners:
    """Heads over the vectors [n, 2, D] of the examples, text first."""

    provides: ClassVar = (
        frozenset({"logits", "hidden", "label", "embeddings", "average", "gradient_norm"}) | STATE_NEEDS
    )

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = torch.from_numpy(vectors)

    def fresh(self, seed: int) -> "HeadLearner":
        """Create a learner; its weights and dropout depend on the seed only."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = HeadNetwork(self._vectors.shape[2])
        return HeadLearner(network, self._vectors, _DROPOUT_SEEDS * seed)


class HeadLearner:
    """One head, its optimizer, and its own random state of dropout."""

    def __init__(self, network: HeadNetwork, vectors: Tensor, seed: int) -> None:
        self._network = network
        self._vectors = vectors
        self._optimisation = Optimisation(batch_size=BATCH)
        self._optimizer = torch.optim.AdamW(network.parameters(), weight_decay=self._optimisation.weight_decay)
        self._seed = seed
        self._state = State()
        self._gradients = GradientNorm(network)
        self._average = AveragedModel(network, avg_fn=_moved_average)

    def predict(self, rows: Integers) -> Floats:
        """Return P(label = 1) [n]."""
        self._network.eval()
        with torch.inference_mode():
            parts = [
                positive_probability(self._network(self._vectors[torch.from_numpy(rows[at : at + SCORED_AT_ONCE])])[0])
                for at in range(0, len(rows), SCORED_AT_ONCE)
            ]
        return torch.cat(parts).double().numpy()

    def hidden(self, rows: Integers) -> Vectors:
        """Return the input [n, H] of the last layer."""
        self._network.eval()
        with torch.inference_mode():
            parts = [
                self._network(self._vectors[torch.from_numpy(rows[at : at + SCORED_AT_ONCE])])[1]
                for at in range(0, len(rows), SCORED_AT_ONCE)
            ]
        return torch.cat(parts).numpy()

    def last_layer(self) -> Floats:
        """Return the last layer [H + 1], bias last."""
        final = self._network.final
        return torch.cat([final.weight[0], final.bias]).detach().double().numpy()

    def update_state(self, rows: Integers, labels: Integers, needs: frozenset[str]) -> None:
        """Compute the state that `score` reads from now on."""
        seen = self._pass(torch.from_numpy(rows), torch.from_numpy(labels), frozenset())
        final = self._network.final
        self._state = snapshot(seen, torch.cat([final.weight, final.bias.unsqueeze(1)], dim=1), needs)

    def score(self, rows: Integers, labels: Integers, estimators: tuple[Estimator, ...]) -> dict[str, Floats]:
        """Return scores [n] by estimator; the vectors of text and query take the part of word embeddings."""
        needs = frozenset().union(*(estimator.needs for estimator in estimators))
        found: dict[str, list[Tensor]] = {estimator.name: [] for estimator in estimators}
        for at in range(0, len(rows), SCORED_AT_ONCE):
            part = slice(at, at + SCORED_AT_ONCE)
            seen = self._pass(torch.from_numpy(rows[part]), torch.from_numpy(labels[part]), needs)
            for estimator in estimators:
                found[estimator.name].append(estimator(seen))
        return {name: torch.cat(parts).double().numpy() for name, parts in found.items()}

    def _pass(self, rows: Tensor, labels: Tensor, needs: frozenset[str]) -> Forward:
        self._network.eval()
        self._average.eval()
        backward = "embeddings" in needs
        vectors = self._vectors[rows].requires_grad_(backward)
        norm = average = None
        if "gradient_norm" in needs:
            with self._gradients.watch() as watched:
                logits, hidden = self._network(vectors.detach())
                norm = watched.norms(losses(logits, labels))
        if backward or norm is None:
            with torch.set_grad_enabled(backward):
                logits, hidden = self._network(vectors)
        if "average" in needs:
            with torch.inference_mode():
                average = self._average(vectors)[0]
        return Forward(
            logits,
            hidden,
            labels=labels,
            embeddings=vectors if backward else None,
            gradient_norm=norm,
            average_logits=average,
            state=self._state,
        )

    def learn(self, rows: Integers, labels: Integers, weights: Floats, learning_rate: float) -> int:
        """Train by AdamW on the weighted loss, gradients clipped; return the number of steps."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        wanted, weighted = torch.from_numpy(labels), torch.from_numpy(weights).float()
        at, steps = torch.from_numpy(rows), range(0, len(rows), BATCH)
        self._network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            for start in steps:
                batch = slice(start, start + BATCH)
                logits, _ = self._network(self._vectors[at[batch]])
                loss: Tensor = (losses(logits, wanted[batch]) * weighted[batch]).mean()
                self._optimizer.zero_grad()
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(self._network.parameters(), self._optimisation.clip_norm)
                self._optimizer.step()
                self._average.update_parameters(self._network)
        self._seed += 1
        return len(steps)

    def clone(self) -> "HeadLearner":
        """Copy the weights, their average, the moments and the random state of dropout."""
        other = HeadLearner(deepcopy(self._network), self._vectors, self._seed)
        other._optimizer.load_state_dict(deepcopy(self._optimizer.state_dict()))
        other._average.load_state_dict(self._average.state_dict())
        return other


def _moved_average(average: Tensor, now: Tensor, _steps: Tensor | int) -> Tensor:
    return EMA_DECAY * average + (1 - EMA_DECAY) * now


def head_vectors(examples: Examples, encode: Callable[[list[str]], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return the vectors [n, 2, D] of each text and its query: the query texts' mean at length 1, or 0 without any."""
    parts = [text for query in examples.queries for text in query]
    encoded = encode([*examples.texts, *parts])
    texts, queries = encoded[: len(examples)], encoded[len(examples) :]
    owner = np.repeat(np.arange(len(examples)), [len(query) for query in examples.queries])
    mean = np.zeros_like(texts)
    np.add.at(mean, owner, queries)
    length = np.linalg.norm(mean, axis=1, keepdims=True)
    return np.stack([texts, mean / np.where(length == 0, 1, length)], axis=1)
