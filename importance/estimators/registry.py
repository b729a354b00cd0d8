"""All estimators by key, in the order of their cost. A new one is a formula and a line here."""

from importance.errors import InvalidInput
from importance.estimators import forward, gradient
from importance.estimators.base import Estimator

_ESTIMATORS = {
    estimator.name: estimator
    for estimator in (
        Estimator("uniform", frozenset(), forward.uniform),
        Estimator("entropy", frozenset({"logits"}), forward.entropy),
        Estimator("confidence", frozenset({"logits"}), forward.confidence),
        Estimator("margin", frozenset({"logits"}), forward.margin),
        Estimator("loss", frozenset({"logits", "label"}), forward.loss),
        Estimator("output_norm", frozenset({"logits"}), forward.output_norm),
        Estimator("last_layer_norm", frozenset({"logits", "hidden", "label"}), forward.last_layer_norm),
        Estimator("gradient_output", frozenset({"logits", "embeddings"}), gradient.gradient_output),
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
        raise InvalidInput(f"there is no estimator {name!r}; choose one of {', '.join(_ESTIMATORS)}") from None
