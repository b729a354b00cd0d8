"""One shared forward pass over samples: their predictions, and every estimator asked for.

Evaluation mode only; independent of versions and learning.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from importance.arrays import Floats, Integers, Vectors
from importance.estimators import BACKWARD, Estimator, Forward
from importance.sample import Sample
from trainer.model import Output, losses, positive_probability
from trainer.tokens import Batch, Encoded
from trainer.version_directory import Model, Weights

MICRO_BATCH = 128
"""Samples a pass; 128 to 512 are equally fast on one core, and the smallest needs the least memory."""


@dataclass(frozen=True, eq=False, slots=True)
class Pass:
    """The outputs of a model for n samples: ``prediction`` P(label = 1) [n], and ``importance`` [n] by estimator.

    ``hidden`` [n, H] are the inputs of the last layer, where they were asked for. Straight from the network: what is
    not finite there is not finite here.
    """

    prediction: Floats
    importance: dict[str, Floats]
    hidden: Vectors | None = None

    def repaired(self) -> tuple["Pass", NDArray[np.bool_]]:
        """Replace non-finite values by ½ and 0 (the floor of the weight); also return which samples [n] had any.

        >>> seen, bad = Pass(np.array([0.2, np.nan]), {"loss": np.array([np.inf, 1.0])}).repaired()
        >>> seen.prediction.tolist(), seen.importance["loss"].tolist(), bad.tolist()
        ([0.2, 0.5], [0.0, 1.0], [True, True])
        """
        bad = ~np.isfinite(self.prediction)
        prediction = np.where(bad, 0.5, self.prediction)
        for scores in self.importance.values():
            bad = bad | ~np.isfinite(scores)
        importance = {name: np.where(np.isfinite(scores), scores, 0.0) for name, scores in self.importance.items()}
        hidden = None if self.hidden is None else np.nan_to_num(self.hidden, posinf=0.0, neginf=0.0)
        return Pass(prediction, importance, hidden), bad


def run(
    model: Model,
    encoded: Encoded,
    labels: Integers | None = None,
    estimators: Sequence[Estimator] = (),
    micro_batch: int = MICRO_BATCH,
    autocast: bool = False,
    keep_hidden: bool = False,
) -> Pass:
    """Compute predictions and scores in the order given; computed in batches of like length.

    ``labels`` [n] are needed by estimators that declare it. ``uniform`` and the like cost nothing here. With
    ``autocast`` the network computes in bfloat16 where that is safe; the estimators compute in float32 all the same.
    ``keep_hidden`` returns the hidden vectors too.
    """
    prediction = np.empty(len(encoded))
    hidden: list[Vectors] = []
    order: list[Integers] = []
    importance = {estimator.name: np.empty(len(encoded)) for estimator in estimators}
    needs = frozenset().union(*(estimator.needs for estimator in estimators))
    for rows, seen in passes(model, encoded, labels, needs, micro_batch, autocast):
        prediction[rows] = positive_probability(seen.logits.detach()).cpu().numpy()
        for estimator in estimators:
            importance[estimator.name][rows] = estimator(seen).cpu().numpy()
        if keep_hidden:
            hidden.append(seen.inputs.detach().cpu().numpy())
            order.append(rows)
    return Pass(prediction, importance, _in_order(order, hidden) if hidden else None)


def _in_order(rows: Sequence[Integers], parts: Sequence[Vectors]) -> Vectors:
    """Put the vectors of each batch at the rows that it held."""
    vectors = np.concatenate(parts)
    ordered = np.empty_like(vectors)
    ordered[np.concatenate(rows)] = vectors
    return ordered


def provided(model: Model) -> frozenset[str]:
    """Return the needs of estimators that passes of this model meet, when they are given labels."""
    always = {"logits", "hidden", "label", "embeddings", "pairs", "gradient_norm", "earlier_norms", "projection"}
    average = {"average"} if model.average is not None else set()
    return frozenset(always | average | model.state.parts().keys())


def passes(
    model: Model,
    encoded: Encoded,
    labels: Integers | None,
    needs: frozenset[str],
    micro_batch: int = MICRO_BATCH,
    autocast: bool = False,
) -> Iterator[tuple[Integers, Forward]]:
    """Yield row numbers and what the estimators need of them, batch by batch."""
    for rows in encoded.by_length(micro_batch):
        batch = encoded.batch(rows).to(model.device)
        wanted = None if labels is None else torch.from_numpy(labels[rows]).to(model.device)
        seen = _forward(model, batch, wanted, needs, autocast)
        if "pairs" in needs:
            seen = replace(seen, pairs=torch.from_numpy(encoded.pairs(rows)).to(model.device))
        yield rows, seen


def _forward(model: Model, batch: Batch, labels: Tensor | None, needs: frozenset[str], autocast: bool) -> Forward:
    wants_norms = labels is not None and "gradient_norm" in needs
    wants_projection = labels is not None and "projection" in needs
    norm = projection = None
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad() if needs & BACKWARD else torch.inference_mode())
        projected = stack.enter_context(model.projection.watch()) if wants_projection else None
        watched = stack.enter_context(model.gradients.watch()) if wants_norms else None
        output = _output(model, batch, autocast, embeddings=bool(needs & {"embeddings", "projection"}))
        if projected is not None and labels is not None:
            projection = projected.gradients(losses(output.logits, labels), retain_graph=True)
        if watched is not None and labels is not None:
            norm = watched.norms(losses(output.logits, labels), retain_graph="embeddings" in needs)
    return Forward(
        logits=output.logits,
        hidden=output.hidden,
        has_bias=model.network.final.bias is not None,
        labels=labels,
        embeddings=output.embeddings,
        mask=batch.mask,
        gradient_norm=norm,
        earlier_norms=_earlier_norms(model, batch, labels, autocast) if "earlier_norms" in needs else None,
        projection=projection,
        average_logits=_average_logits(model, batch, autocast) if "average" in needs else None,
        state=model.state,
    )


def _output(model: Model, batch: Batch, autocast: bool, embeddings: bool = False) -> Output:
    """Return the network's output; with ``autocast`` only this is computed in bfloat16, not what is derived from it."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=autocast):
        output: Output = model.network(batch, embeddings=embeddings)
    return output


def _earlier_norms(model: Model, batch: Batch, labels: Tensor | None, autocast: bool) -> Tensor | None:
    """Return ‖∇_θ ℓ‖ [n, K] at the earlier checkpoints: the version before, where there is one."""
    if labels is None:
        return None
    if model.earlier is None:
        return torch.empty(len(labels), 0, device=labels.device)
    with wearing(model, model.earlier), model.gradients.watch() as watched:
        norms: Tensor = watched.norms(losses(_output(model, batch, autocast).logits, labels))
    return norms.unsqueeze(1)


def _average_logits(model: Model, batch: Batch, autocast: bool) -> Tensor | None:
    if model.average is None:
        return None
    with wearing(model, model.average), torch.inference_mode():
        return _output(model, batch, autocast).logits


@contextmanager
def wearing(model: Model, weights: Weights) -> Iterator[None]:
    """Let the network compute with other weights, by name. Nothing is copied; not for two threads at once."""
    parameters = dict(model.network.named_parameters())
    own = {name: parameters[name].data for name in weights}
    try:
        for name, weight in weights.items():
            parameters[name].data = weight
        yield
    finally:
        for name, weight in own.items():
            parameters[name].data = weight


def predict(model: Model, samples: Sequence[Sample]) -> Floats:
    """Return P(label = 1) [n] of samples, in order."""
    return run(model, model.tokens.encode(samples)).prediction if len(samples) else np.empty(0)
