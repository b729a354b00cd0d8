"""One shared forward pass over samples: their predictions, and every estimator asked for.

Evaluation mode only; knows nothing of versions or of learning.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from importance.estimators import Estimator, Forward
from trainer.folder import Model
from trainer.model import positive_probability
from trainer.tokens import Encoded

MICRO_BATCH = 128
"""Samples a pass; 128 to 512 are equally fast on one core, and the smallest holds the least memory."""

PROVIDED = frozenset({"logits", "hidden", "label", "embeddings"})
"""The needs of estimators that a pass meets."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Pass:
    """What a model says of n samples: ``prediction`` P(label = 1) [n], and ``importance`` [n] by estimator.

    Straight from the network: what is not finite there is not finite here.
    """

    prediction: Floats
    importance: dict[str, Floats]


def run(
    model: Model,
    encoded: Encoded,
    labels: NDArray[np.int64] | None = None,
    estimators: Sequence[Estimator] = (),
    micro_batch: int = MICRO_BATCH,
) -> Pass:
    """Predictions and scores in the order given; computed in batches of like length.

    ``labels`` [n] are needed by the estimators that say so. ``uniform`` and the like cost nothing here.
    """
    prediction = np.empty(len(encoded))
    importance = {estimator.name: np.empty(len(encoded)) for estimator in estimators}
    backward = any("embeddings" in estimator.needs for estimator in estimators)
    device = model.device
    with torch.enable_grad() if backward else torch.inference_mode():
        for rows in encoded.by_length(micro_batch):
            batch = encoded.batch(rows).to(device)
            output = model.network(batch, embeddings=backward)
            prediction[rows] = positive_probability(output.logits.detach()).cpu().numpy()
            seen = Forward(
                logits=output.logits,
                hidden=output.hidden,
                has_bias=model.network.final.bias is not None,
                labels=None if labels is None else torch.from_numpy(labels[rows]).to(device),
                embeddings=output.embeddings,
                mask=batch.mask,
            )
            for estimator in estimators:
                importance[estimator.name][rows] = estimator(seen).cpu().numpy()
    return Pass(prediction, importance)
