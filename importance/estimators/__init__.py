"""Importance of a sample, by one of several formulas. The only part of `importance` that uses torch.

In reading order: ``base`` what an estimator gets and is, ``forward`` those of one forward pass, ``gradient`` those of
a backward pass more, ``gradient_norm`` and ``projection`` what such a pass is followed by, ``stateful`` those that
read a version's memory, ``state`` and ``memory`` what that is and how it is made, ``registry`` all of them by key.
"""

from importance.estimators.base import BACKWARD, Estimator, Forward
from importance.estimators.registry import get, names
from importance.estimators.state import State

__all__ = ["BACKWARD", "Estimator", "Forward", "State", "get", "names"]
