"""How training rows are chosen from candidates: an estimator, a rule on top of it, and the weights that go with it.

Pure functions of scores; knows nothing of models.
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


class Rule(StrEnum):
    """How scores choose.

    ``STATIC``: none; one random part, fixed at the start. ``RESAMPLED``: none; a new random part every epoch (RS2,
    Okanovic et al. 2024). ``PROPORTIONAL``: Weir's draw, importance over its mean with a uniform floor. ``TOP``: the
    highest scores alone.
    """

    STATIC = "static"
    RESAMPLED = "resampled"
    PROPORTIONAL = "proportional"
    TOP = "top"

    @property
    def draws(self) -> bool:
        """Whether every round draws each candidate with a known chance: not a part fixed before, nor the top."""
        return self in (Rule.RESAMPLED, Rule.PROPORTIONAL)


@dataclass(frozen=True, slots=True)
class Policy:
    """A named way to choose. ``estimator`` is written as in the settings, a sum too; ``guarded`` multiplies it by
    p_holdout(y | x); ``weighted`` divides the loss by the chance of being chosen.
    """

    name: str
    estimator: str
    rule: Rule
    weighted: bool = False
    guarded: bool = False

    def __post_init__(self) -> None:
        """Refuse an unknown estimator, and weights where no chance is known."""
        parse(self.estimator)
        if self.weighted and self.rule is not Rule.PROPORTIONAL:
            raise InvalidInput(f"policy {self.name}: only the rule proportional has weights, not {self.rule}")

    @property
    def scores(self) -> bool:
        """Whether candidates are scored at all."""
        return self.rule in (Rule.PROPORTIONAL, Rule.TOP)

    @property
    def mixture(self) -> Mixture:
        """The estimators behind the score."""
        return parse(self.estimator, self.guarded)

    @property
    def needs(self) -> frozenset[str]:
        """What the estimators need of a forward pass."""
        return frozenset().union(*(estimators.get(name).needs for name in self.mixture.columns))

    @property
    def remembers(self) -> bool:
        """Whether scoring begins with a pass over rows of the holdout, every round."""
        return self.scores and bool(self.needs & STATE_NEEDS)

    @property
    def cost(self) -> float:
        """What scoring one candidate costs, in forward passes.

        One, and one more for each backward pass to activations, and one more for a second model. What a memory reads
        (`remembers`) comes on top, once a round.
        """
        if not self.scores:
            return 0.0
        return 1.0 + len(self.needs & estimators.BACKWARD) + ("average" in self.needs)


@dataclass(frozen=True, eq=False, slots=True)
class Selection:
    """The chosen among n candidates: their places, ``probability`` of being chosen, and loss ``weights``, which
    are those of the service: of mean 1 before clipping.

    ``effective_share`` is the effective sample size over the number chosen; ``clipped_mass`` what clipping took.
    """

    places: Integers
    probability: Floats
    weights: Floats
    effective_share: float = 1.0
    clipped_mass: float = 0.0


def choose(policy: Policy, scores: Floats, kept: int, random: np.random.Generator) -> Selection:
    """Choose ``kept`` of the candidates whose ``scores`` [n] are given, by the policy's rule.

    Proportional: keys ln w − ln u, the largest are kept, and with κ the largest key turned away p = min(1, w·e^−κ),
    as in `importance.reservoir`. Ties of the top rule are broken at random.
    """
    n = len(scores)
    if policy.rule is Rule.PROPORTIONAL:
        weight = proportional(scores, float(scores.mean()))
        key = np.log(weight) - np.log(1.0 - random.random(n))
        places, kappa = _largest(key, kept)
        probability = np.minimum(1.0, weight[places] * np.exp(-kappa))
        if not policy.weighted:
            return Selection(places, probability, np.ones(kept))
        training = training_weights(probability)
        effective = training.effective_sample_size / kept
        return Selection(places, probability, training.values, effective, training.clipped_mass)
    if policy.rule is Rule.TOP:
        tied = random.permutation(n)
        places = tied[_largest(scores[tied], kept)[0]]
        return Selection(places, np.ones(kept), np.ones(kept))
    places = np.sort(random.choice(n, kept, replace=False))
    return Selection(places, np.full(kept, kept / n), np.ones(kept))


def _largest(values: Floats, count: int) -> tuple[Integers, float]:
    """The places of the ``count`` largest, in order of place, and the largest value left out (−∞ for none)."""
    order = np.argsort(-values, kind="stable")
    rest = float(values[order[count]]) if count < len(values) else -np.inf
    return np.sort(order[:count]), rest


def _proportional(name: str, estimator: str, weighted: bool = True, guarded: bool = False) -> Policy:
    return Policy(name, estimator, Rule.PROPORTIONAL, weighted, guarded)


UNIFORM = Policy("uniform", "uniform", Rule.STATIC)
RS2 = Policy("rs2", "uniform", Rule.RESAMPLED)
DEFAULT = _proportional("last_layer_norm", "last_layer_norm")
ARTICLE = Policy("gradient_output_top", "gradient_output", Rule.TOP)
"""The article's own: the highest gradient × output alone, all alike."""

POLICIES = {
    policy.name: policy
    for policy in (
        UNIFORM,
        RS2,
        DEFAULT,
        _proportional("last_layer_norm_unweighted", "last_layer_norm", weighted=False),
        Policy("last_layer_norm_top", "last_layer_norm", Rule.TOP),
        _proportional("last_layer_norm_guarded", "last_layer_norm", weighted=False, guarded=True),
        _proportional("gradient_output", "gradient_output"),
        ARTICLE,
        _proportional("entropy", "entropy"),
        _proportional("entropy_unweighted", "entropy", weighted=False),
        _proportional("loss", "loss"),
        Policy("loss_top", "loss", Rule.TOP),
        Policy("output_norm_top", "output_norm", Rule.TOP),
        _proportional("rho", "rho"),
        _proportional("rho_unweighted", "rho", weighted=False),
        Policy("rho_top", "rho", Rule.TOP),
    )
}


def policy(name: str) -> Policy:
    """The policy of that name; any estimator, or sum of them, means its proportional rule with weights.

    >>> policy("margin").rule, policy("margin").weighted
    (<Rule.PROPORTIONAL: 'proportional'>, True)
    """
    return POLICIES.get(name) or _proportional(name, name)
