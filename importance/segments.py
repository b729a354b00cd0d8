"""Segments by the values of one attribute: counted in the stream, estimated from the buffer, given capacity.

Independent of scores, keys and labels.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from importance.errors import InvalidInput

Scalar = str | int | float | bool | None


def parse(attribute: str, text: str) -> "Segments | None":
    """Parse segments from ``value=share,value=share``; None where neither is given. Raises InvalidInput.

    >>> parse("country", "France=0.05, Spain=0").reserved
    {'country=France': 0.05}
    """
    if not attribute and not text:
        return None
    shares = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        value, _, share = part.rpartition("=")
        try:
            shares.append((value.strip(), float(share)))
        except ValueError:
            raise InvalidInput(f"{part!r} is not value=share: write e.g. France=0.05,Spain=0") from None
    return Segments(attribute, tuple(shares))


@dataclass(frozen=True, slots=True)
class Segments:
    """The named values of ``attribute``, and the share of the buffer's capacity reserved for each.

    ``shares`` are pairs of a value and its share; a share of 0 counts the value and reserves nothing.
    """

    attribute: str
    shares: tuple[tuple[str, float], ...]
    _names: dict[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse values that cannot be distinguished."""
        values = [value for value, _ in self.shares]
        if not self.attribute or not values or not all(values):
            raise InvalidInput("segments need the name of an attribute and at least one value of it")
        if len(set(values)) < len(values):
            raise InvalidInput(f"a value of {self.attribute} is named twice in {', '.join(values)}")
        if not all(0 <= share < 1 for _, share in self.shares):
            raise InvalidInput(f"a share of {self.attribute} lies outside 0 to 1: {dict(self.shares)}")
        object.__setattr__(self, "_names", {value: f"{self.attribute}={value}" for value in values})

    @property
    def names(self) -> tuple[str, ...]:
        """Return the segments, in order."""
        return tuple(self._names.values())

    @property
    def other(self) -> str:
        """Return the segment of all other values, and of samples without the attribute."""
        return f"{self.attribute}=(other)"

    @property
    def reserved(self) -> dict[str, float]:
        """Return the segments with reserved capacity, with their share of the capacity."""
        return {self._names[value]: share for value, share in self.shares if share > 0}

    def of(self, attributes: Mapping[str, Scalar]) -> str:
        """Return the segment of a sample with these attributes; a value other than text is compared as JSON writes it.

        >>> segments = Segments("country", (("France", 0.1), ("Spain", 0.0)))
        >>> [segments.of({"country": country}) for country in ("France", "Spain", "Malta", None)]
        ['country=France', 'country=Spain', 'country=(other)', 'country=(other)']
        """
        value = attributes.get(self.attribute)
        return self._names.get(value if isinstance(value, str) else json.dumps(value), self.other)
