"""Select training rows from candidates: by an estimator, a strategy on its scores, and loss weights.

Pure functions of scores; independent of models.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from experiments.learner import STATE_NEEDS
from importance import estimators
from importance.arrays import Floats, Integers
from importance.errors import InvalidInput
from importance.mixture import Mixture, parse
from importance.selection import proportional
from importance.weights import training_weights


class Strategy(StrEnum):
    """How rows are selected.

    ``STATIC``: one random part, fixed at the start, without scores. ``RESAMPLED``: a new random part every epoch,
    without scores (RS2, Okanovic et al. 2024). ``PROPORTIONAL``: Weir's draw, importance over its mean with a uniform
    floor. ``TOP``: the highest scores only.
    """

    STATIC = "static"
    RESAMPLED = "resampled"
    PROPORTIONAL = "proportional"
    TOP = "top"

    @property
    def draws(self) -> bool:
        """Return whether every round draws each candidate with a known probability: not a fixed part, nor the top."""
        return self in (Strategy.RESAMPLED, Strategy.PROPORTIONAL)


@dataclass(frozen=True, slots=True)
class Policy:
    """A named selection policy.

    ``estimator`` is written as in the settings, also as a sum; ``guarded`` multiplies it by p_holdout(y | x);
    ``weighted`` divides the loss by the probability of being selected.
    """

    name: str
    estimator: str
    strategy: Strategy
    weighted: bool = False
    guarded: bool = False

    def __post_init__(self) -> None:
        """Refuse an unknown estimator, and weights without known probabilities."""
        parse(self.estimator)
        if self.weighted and self.strategy is not Strategy.PROPORTIONAL:
            raise InvalidInput(f"policy {self.name}: only the strategy proportional has weights, not {self.strategy}")

    @property
    def scores(self) -> bool:
        """Return whether candidates are scored."""
        return self.strategy in (Strategy.PROPORTIONAL, Strategy.TOP)

    @property
    def mixture(self) -> Mixture:
        """Return the estimators of the score."""
        return parse(self.estimator, self.guarded)

    @property
    def needs(self) -> frozenset[str]:
        """Return what the estimators need of a forward pass."""
        return frozenset().union(*(estimators.get(name).needs for name in self.mixture.columns))

    @property
    def reads_holdout(self) -> bool:
        """Return whether each round of scoring starts with a pass over rows of the holdout."""
        return self.scores and bool(self.needs & STATE_NEEDS)

    @property
    def cost(self) -> float:
        """Return the cost of scoring one candidate, in forward passes.

        One, one more for each backward pass to activations, and one more for a second model. The pass over the holdout
        (`reads_holdout`) is added once a round.
        """
        if not self.scores:
            return 0.0
        return 1.0 + len(self.needs & estimators.BACKWARD) + ("average" in self.needs)


@dataclass(frozen=True, eq=False, slots=True)
class Selection:
    """Selected candidates: their positions among n, ``probability`` of selection, and loss ``weights``.

    Weights are those of the service: of mean 1 before clipping. ``effective_share`` is the effective sample size over
    the number selected; ``clipped_mass`` is the share of the weights that clipping removed.
    """

    positions: Integers
    probability: Floats
    weights: Floats
    effective_share: float = 1.0
    clipped_mass: float = 0.0


def choose(policy: Policy, scores: Floats, kept: int, random: np.random.Generator) -> Selection:
    """Select ``kept`` of the candidates with ``scores`` [n], by the policy's strategy.

    Proportional: the largest keys ln w − ln u are kept, and with κ the largest rejected key p = min(1, w·e^−κ), as in
    `importance.reservoir`. Ties of the top strategy are broken at random.
    """
    n = len(scores)
    if policy.strategy is Strategy.PROPORTIONAL:
        weight = proportional(scores, float(scores.mean()))
        key = np.log(weight) - np.log(1.0 - random.random(n))
        positions, kappa = _largest(key, kept)
        probability = np.minimum(1.0, weight[positions] * np.exp(-kappa))
        if not policy.weighted:
            return Selection(positions, probability, np.ones(kept))
        training = training_weights(probability)
        effective = training.effective_sample_size / kept
        return Selection(positions, probability, training.values, effective, training.clipped_mass)
    if policy.strategy is Strategy.TOP:
        tied = random.permutation(n)
        positions = tied[_largest(scores[tied], kept)[0]]
        return Selection(positions, np.ones(kept), np.ones(kept))
    positions = np.sort(random.choice(n, kept, replace=False))
    return Selection(positions, np.full(kept, kept / n), np.ones(kept))


def _largest(values: Floats, count: int) -> tuple[Integers, float]:
    """Return the positions of the ``count`` largest, ascending, and the largest other value (−∞ without any)."""
    order = np.argsort(-values, kind="stable")
    rest = float(values[order[count]]) if count < len(values) else -np.inf
    return np.sort(order[:count]), rest


def _proportional(name: str, estimator: str, weighted: bool = True, guarded: bool = False) -> Policy:
    return Policy(name, estimator, Strategy.PROPORTIONAL, weighted, guarded)


UNIFORM = Policy("uniform", "uniform", Strategy.STATIC)
RS2 = Policy("rs2", "uniform", Strategy.RESAMPLED)
DEFAULT = _proportional("last_layer_norm", "last_layer_norm")
ARTICLE = Policy("gradient_output_top", "gradient_output", Strategy.TOP)
"""The policy of the original article: the highest gradient × output only, with equal weights."""

POLICIES = {
    policy.name: policy
    for policy in (
        UNIFORM,
        RS2,
        DEFAULT,
        _proportional("last_layer_norm_unweighted", "last_layer_norm", weighted=False),
        Policy("last_layer_norm_top", "last_layer_norm", Strategy.TOP),
        _proportional("last_layer_norm_guarded", "last_layer_norm", weighted=False, guarded=True),
        _proportional("gradient_output", "gradient_output"),
        ARTICLE,
        _proportional("entropy", "entropy"),
        _proportional("entropy_unweighted", "entropy", weighted=False),
        _proportional("loss", "loss"),
        Policy("loss_top", "loss", Strategy.TOP),
        Policy("output_norm_top", "output_norm", Strategy.TOP),
        _proportional("rho", "rho"),
        _proportional("rho_unweighted", "rho", weighted=False),
        Policy("rho_top", "rho", Strategy.TOP),
    )
}


def policy(name: str) -> Policy:
    """Return the policy of that name; any estimator, or sum of them, names its proportional policy with weights.

    >>> policy("margin").strategy, policy("margin").weighted
    (<Strategy.PROPORTIONAL: 'proportional'>, True)
    """
    return POLICIES.get(name) or _proportional(name, name)
