"""All estimators by key, in the order of their cost.

A new one is a formula, a line here and its name in `importance.mixture`.
"""

from collections.abc import Callable

from torch import Tensor

from importance.estimators import forward, gradient, stateful
from importance.estimators.base import Estimator, Forward
from importance.mixture import GUARD, check_name


def _estimator(formula: Callable[[Forward], Tensor], *needs: str) -> Estimator:
    return Estimator(formula.__name__, frozenset(needs), formula)


_ESTIMATORS = {
    estimator.name: estimator
    for estimator in (
        _estimator(forward.uniform),
        _estimator(forward.entropy, "logits"),
        _estimator(forward.confidence, "logits"),
        _estimator(forward.margin, "logits"),
        _estimator(forward.loss, "logits", "label"),
        _estimator(forward.el2n, "logits", "label"),
        _estimator(forward.output_norm, "logits"),
        _estimator(forward.last_layer_norm, "logits", "hidden", "label"),
        _estimator(stateful.rho, "logits", "hidden", "label", "holdout"),
        _estimator(stateful.tracin, "logits", "hidden", "label", "validation"),
        _estimator(stateful.novelty, "hidden", "centres"),
        _estimator(stateful.forgetting, "pairs", "forgotten"),
        _estimator(stateful.learnability, "logits", "label", "average"),
        _estimator(gradient.gradient_output, "logits", "embeddings"),
        _estimator(gradient.input_gradient, "logits", "embeddings", "label"),
        _estimator(gradient.gradient_norm, "label", "gradient_norm"),
        _estimator(stateful.gradient_alignment, "label", "projection", "direction"),
        _estimator(gradient.grand, "label", "gradient_norm", "earlier_norms"),
    )
}


_GUARD = _estimator(stateful.p_holdout, "hidden", "label", "holdout")


def names() -> tuple[str, ...]:
    """Return the keys of all estimators."""
    return tuple(_ESTIMATORS)


def get(name: str) -> Estimator:
    """Return the estimator of that key, or the guard ``p_holdout``, which is computed alike.

    >>> get("last_layer_norm").needs == {"logits", "hidden", "label"}
    True
    """
    if name == GUARD:
        return _GUARD
    check_name(name)
    return _ESTIMATORS[name]
