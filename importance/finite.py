"""Numbers for JSON, which has neither NaN nor infinity."""

from math import isfinite


def finite_or_none(value: float) -> float | None:
    """Return the value where it is finite, else None.

    >>> finite_or_none(0.5), finite_or_none(float("nan")), finite_or_none(float("-inf"))
    (0.5, None, None)
    """
    return value if isfinite(value) else None
