"""Which of many tests found something, with a bound on the share of false ones."""

from collections.abc import Mapping

from importance.errors import InvalidInput


def discoveries(p_values: Mapping[str, float], rate: float) -> list[str]:
    """Name the tests whose p-value is a discovery at the false discovery ``rate``, smallest p first.

    Benjamini & Hochberg 1995: with p₍₁₎ ≤ … ≤ p₍ₘ₎, the first i of them for the largest i with p₍ᵢ₎ ≤ i/m · rate. On
    average at most ``rate`` of what is named is false, for independent and for positively dependent tests. For the
    tests of one check: features, or one feature by segments.

    >>> discoveries({"a": 0.01, "b": 0.20, "c": 0.03, "d": 0.9}, rate=0.1)
    ['a', 'c']
    """
    if not 0 < rate < 1:
        raise InvalidInput(f"the false discovery rate is {rate}; it must lie between 0 and 1")
    for name, p_value in p_values.items():
        if not 0 <= p_value <= 1:
            raise InvalidInput(f"the p-value of {name} is {p_value}; it must be at least 0 and at most 1")
    ordered = sorted(p_values, key=lambda name: (p_values[name], name))
    step = rate / max(len(ordered), 1)
    last = max((rank for rank, name in enumerate(ordered, start=1) if p_values[name] <= rank * step), default=0)
    return ordered[:last]
