"""All estimators by key, in the order of their cost. A new one is a formula and a line here."""

from collections.abc import Callable
from difflib import get_close_matches

from torch import Tensor

from importance.errors import InvalidInput
from importance.estimators import forward, gradient, remembering
from importance.estimators.base import Estimator, Forward


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
        _estimator(remembering.rho, "logits", "hidden", "label", "holdout"),
        _estimator(remembering.tracin, "logits", "hidden", "label", "validation"),
        _estimator(remembering.novelty, "hidden", "centres"),
        _estimator(remembering.forgetting, "pairs", "forgotten"),
        _estimator(remembering.learnability, "logits", "label", "average"),
        _estimator(gradient.gradient_output, "logits", "embeddings"),
        _estimator(gradient.input_gradient, "logits", "embeddings", "label"),
        _estimator(gradient.gradient_norm, "label", "gradient_norms"),
        _estimator(remembering.gradient_alignment, "label", "projection", "direction"),
        _estimator(gradient.grand, "label", "gradient_norms"),
    )
}


def names() -> tuple[str, ...]:
    """The keys of all estimators."""
    return tuple(_ESTIMATORS)


def get(name: str) -> Estimator:
    """The estimator of that key.

    >>> get("last_layer_norm").needs == {"logits", "hidden", "label"}
    True
    """
    try:
        return _ESTIMATORS[name]
    except KeyError:
        close = get_close_matches(name, _ESTIMATORS, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(_ESTIMATORS)}"
        raise InvalidInput(f"there is no estimator {name!r}; {hint}") from None
