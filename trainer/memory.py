"""The estimators' state in a version, made when it is evaluated: see `importance.estimators.state`.

Everything here comes from training, or from samples of the stream that were kept without regard to importance. They
are disjoint from what selection ranks, and from the holdout that the gate judges by.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from importance import estimators
from importance.errors import InvalidInput
from importance.estimators import BACKWARD, Estimator, Forward, State
from importance.estimators.memory import choose_centres, count_forgotten, fit_holdout, validation_gradient
from importance.mixture import GUARD
from trainer.forward import passes, provided, run
from trainer.labelled import Labelled
from trainer.model import last_layer
from trainer.tokens import Encoded
from trainer.tuning import Tuned
from trainer.version_directory import Model, Weights

MEASURED = 2_000
"""Samples that a version is measured on, and as many others that it learns from: the rate of a top tenth is then right
within 0.7 points (one sigma).
"""

COSTLY = 500
"""Of these, so many by estimators that go backward: a fifth of the cost, and the mean within a few percent."""

_AVERAGE_DECAY = 0.9  # of the moving average, per version: over about the last ten


def weights_of(model: Model) -> Weights:
    """Return a copy of the network's parameters."""
    return {name: parameter.detach().clone() for name, parameter in model.network.named_parameters()}


def update_state(tuned: Tuned, before: Weights | None, uniform: Labelled) -> Model:
    """Return the tuned model with all that its estimators need, and their scores of ``uniform`` samples.

    ``before`` are the weights that the training started from; a first version has none.
    """
    model, now = tuned.model, weights_of(tuned.model)
    met, right = torch.from_numpy(tuned.met), torch.from_numpy(tuned.right)
    state = count_forgotten(model.state.to("cpu"), met, right).to(model.device)
    average = None if before is None else _moved(model.average or before, now)
    return measured(replace(model, average=average, earlier=before, state=state), uniform)


def measured(model: Model, uniform: Labelled) -> Model:
    """Return the model with the state computed from half of the uniform samples, and with its scores of the others.

    A centre's own novelty is 0 and a fitted label's excess loss small: the scores of fitted samples do not predict
    later ones. Returns the model unchanged without samples.
    """
    if not len(uniform.samples):
        return model
    rows = measured_rows(len(uniform.samples))
    encoded, labels = model.tokens.encode([uniform.samples[row] for row in rows]), uniform.labels[rows]
    every = np.arange(len(rows))
    learned, judged = every[::2], every[1::2] if len(rows) > 1 else every
    model = replace(model, state=_learned(model, encoded.rows(learned), labels[learned]))
    return replace(model, measured=_scores(model, encoded.rows(judged), labels[judged]))


def measured_rows(count: int) -> NDArray[np.int64]:
    """Return the row numbers of those of ``count`` uniform samples that a version is measured on or learns from."""
    return _spread(count, 2 * MEASURED)


def mean_importance(model: Model) -> dict[str, float]:
    """Return the mean score by every estimator that was measured; for reading."""
    return {name: float(np.nanmean(scores)) for name, scores in model.measured.items()}


def _moved(average: Weights, now: Weights) -> Weights:
    return {name: _AVERAGE_DECAY * average[name] + (1 - _AVERAGE_DECAY) * weight for name, weight in now.items()}


def _learned(model: Model, encoded: Encoded, labels: NDArray[np.int64]) -> State:
    """Return the state with holdout layer, validation gradient, direction (where defined) and centres of these."""
    rows = _spread(len(encoded), COSTLY)
    seen = _joined([forward for _, forward in passes(model, encoded, labels, frozenset({"logits", "hidden", "label"}))])
    return replace(
        model.state,
        holdout=fit_holdout(seen, last_layer(model.network)),
        validation=validation_gradient(seen),
        direction=_direction(model, encoded.rows(rows), labels[rows]),
        centres=choose_centres(seen.inputs),
    )


def _direction(model: Model, encoded: Encoded, labels: NDArray[np.int64]) -> Tensor | None:
    """Return the mean of the projected gradients; None where this network's cannot be projected."""
    try:
        seen = [forward.projection for _, forward in passes(model, encoded, labels, frozenset({"label", "projection"}))]
    except InvalidInput:
        return None
    return torch.cat([projection for projection in seen if projection is not None]).mean(dim=0)


def _scores(model: Model, encoded: Encoded, labels: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return the scores [n] by every estimator that this model can serve; costly ones of a part only."""
    able = provided(model)
    chosen = [found for found in map(estimators.get, (*estimators.names(), GUARD)) if found.needs <= able]
    cheap = [found for found in chosen if not found.needs & BACKWARD]
    columns = run(model, encoded, labels, cheap).importance
    rows = _spread(len(encoded), COSTLY)
    for costly in (found for found in chosen if found.needs & BACKWARD):
        part = _tried(model, encoded.rows(rows), labels[rows], costly)
        if part is not None:
            columns[costly.name] = np.full(len(encoded), np.nan)
            columns[costly.name][rows] = part
    return {name: np.where(np.isfinite(scores), scores, np.nan) for name, scores in columns.items()}


def _tried(
    model: Model, encoded: Encoded, labels: NDArray[np.int64], estimator: Estimator
) -> NDArray[np.float64] | None:
    """Return the scores by an estimator; None where it does not cover this network, which is reported on use."""
    try:
        return run(model, encoded, labels, [estimator]).importance[estimator.name]
    except InvalidInput:
        return None


def _spread(count: int, limit: int) -> NDArray[np.int64]:
    """Return at most ``limit`` row numbers of ``count``, evenly spread."""
    return np.linspace(0, count - 1, min(limit, count)).round().astype(np.int64)


def _joined(parts: Sequence[Forward]) -> Forward:
    """Join several passes into one."""

    def together(name: str) -> Tensor:
        return torch.cat([getattr(part, name).detach() for part in parts])

    return Forward(together("logits"), together("hidden"), parts[0].has_bias, together("labels"))
