"""The heads of a race: one logistic last layer a policy, over the hidden vectors of a model version.

Pure arrays. Independent of how a policy weights a sample: the loss weights are given.
"""

import numpy as np

from importance.arrays import Floats

_RIDGE = 1e-3  # of the mean curvature: directions without data stay where the version has them
_LARGEST = 30.0  # a larger logit changes no float64 probability that matters


class Heads:
    """K last layers θ [K, H + 1], each the running minimiser of its policy's decayed loss.

    All start at the version's own last layer [H + 1], bias last, with the curvature that ``memory`` samples would have
    left: what the version learned from. Each batch is one Newton step of a logistic regression with forgetting
    (recursive estimation, Ljung & Söderström 1983):

        A ← γ·A + Σ a·p(1 − p)·x xᵀ        θ ← θ − (A + ρI)⁻¹ Σ a·(p − y)·x        x = (h, 1)

    with loss weights a and γ = 2^(−Δt / half-life). So there is no learning rate to tune, and a short half-life
    forgets the version, and earlier batches, sooner.
    """

    def __init__(self, last_layer: Floats, half_lives_seconds: Floats, memory: float) -> None:
        self._theta = np.repeat(last_layer[None].astype(np.float64), len(half_lives_seconds), axis=0)
        self._half_lives_seconds = half_lives_seconds
        self._memory = memory
        self._curvature: Floats | None = None
        self._ridge: Floats = np.zeros((len(last_layer), len(last_layer)))
        self._time_seconds = -np.inf

    def predict(self, hidden: Floats) -> Floats:
        """Return P(label = 1) [n, K] of hidden vectors [n, H]."""
        logits = hidden @ self._theta[:, :-1].T + self._theta[:, -1]
        probability: Floats = 1 / (1 + np.exp(-np.clip(logits, -_LARGEST, _LARGEST)))
        return probability

    def learn(self, hidden: Floats, labels: Floats, weights: Floats, time_seconds: float) -> None:
        """Learn from a batch: hidden [n, H], labels [n], weights a [n, K] ≥ 0; event time in seconds."""
        x = np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1)
        p = self.predict(hidden)
        curvature = self._curvature
        if curvature is None:
            curvature = self._curvature = self._prior(x, p[:, 0])
        else:
            elapsed = max(0.0, time_seconds - self._time_seconds)
            curvature *= (2.0 ** (-elapsed / self._half_lives_seconds))[:, None, None]
        self._time_seconds = max(time_seconds, self._time_seconds)
        for k, weight in enumerate(weights.T):
            chosen = np.flatnonzero(weight)
            own, a, q = x[chosen], weight[chosen], p[chosen, k]
            curvature[k] += (own * (a * q * (1 - q))[:, None]).T @ own
            gradient = (a * (q - labels[chosen])) @ own
            self._theta[k] -= np.linalg.solve(curvature[k] + self._ridge, gradient)

    def _prior(self, x: Floats, p: Floats) -> Floats:
        """Return the curvature [K, H + 1, H + 1] of ``memory`` samples like these, and set the ridge by it."""
        prior = (x * (p * (1 - p))[:, None]).T @ x * (self._memory / len(x))
        level = max(float(np.trace(prior)) / len(prior), 1e-9)
        self._ridge = _RIDGE * level * np.eye(len(prior))
        return np.repeat(prior[None], len(self._theta), axis=0)
