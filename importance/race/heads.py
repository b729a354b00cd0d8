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

        A ← γ·A + ā Σ p(1 − p)·x xᵀ        θ ← θ − (A + ρI)⁻¹ Σ a·(p − y)·x        x = (h, 1)

    with loss weights a, their mean ā, and γ = 2^(−Δt / half-life). All policies estimate the same loss, so those of one
    half-life share A, with p the mean of all heads'; they differ by the gradient. There is no learning rate to tune,
    and a short half-life forgets the version, and earlier batches, sooner.
    """

    def __init__(self, last_layer: Floats, half_lives_seconds: Floats, memory: float) -> None:
        self._theta = np.repeat(last_layer[None].astype(np.float64), len(half_lives_seconds), axis=0)
        self._half_lives_seconds, self._half_life_of = np.unique(half_lives_seconds, return_inverse=True)
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
        middle = p.mean(axis=1)
        seen = (x * (middle * (1 - middle))[:, None]).T @ x
        if self._curvature is None:
            prior = seen * (self._memory / len(x))
            self._ridge = _RIDGE * max(float(np.trace(prior)) / len(prior), 1e-9) * np.eye(len(prior))
            self._curvature = np.repeat(prior[None], len(self._half_lives_seconds), axis=0)
        else:
            elapsed = max(0.0, time_seconds - self._time_seconds)
            self._curvature *= (2.0 ** (-elapsed / self._half_lives_seconds))[:, None, None]
        self._curvature += weights.mean() * seen
        self._time_seconds = max(time_seconds, self._time_seconds)
        gradient = x.T @ (weights * (p - labels[:, None]))
        for number, curvature in enumerate(self._curvature):
            own = self._half_life_of == number
            self._theta[own] -= np.linalg.solve(curvature + self._ridge, gradient[:, own]).T
