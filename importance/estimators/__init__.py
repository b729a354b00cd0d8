"""What a sample is worth, by one of several formulas. The only part of `importance` that knows torch.

In reading order: ``base`` what an estimator gets and is, ``forward`` those of one forward pass, ``gradient`` those of
one backward pass more, ``registry`` all of them by key.
"""

from importance.estimators.base import Estimator, Forward
from importance.estimators.registry import get, names

__all__ = ["Estimator", "Forward", "get", "names"]
