"""The slices of the holdout that may refuse a candidate. Pure."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from importance.arrays import Booleans
from importance.sample import Sample

NEW_ITEMS = "new items"
MAX_VALUES = 20
"""The most frequent values of an attribute, each of which is a slice: Holm's method pays for every one."""


def slices_of(samples: Sequence[Sample], known_items: Collection[str], attribute: str) -> dict[str, Booleans]:
    """Return the slices [n] by name: surfaces, the frequent values of an attribute, and items that are not known.

    >>> samples = [Sample(str(i), "s", surface, "", "mug", "", 0, 0, i) for i, surface in enumerate(("ad", "search"))]
    >>> {name: inside.tolist() for name, inside in slices_of(samples, (), "category").items()}
    {'surface=ad': [True, False], 'surface=search': [False, True], 'new items': [True, True]}
    """
    surfaces = _by_value("surface", [sample.surface for sample in samples])
    values = _by_value(attribute, [_text(sample.attributes.get(attribute)) for sample in samples])
    new = np.fromiter((sample.item not in known_items for sample in samples), np.bool_, len(samples))
    return {**surfaces, **values, **({NEW_ITEMS: new} if new.any() else {})}


def _by_value(name: str, values: Sequence[str | None]) -> dict[str, Booleans]:
    frequent = Counter(value for value in values if value is not None).most_common(MAX_VALUES)
    column = np.array(values, dtype=object)
    return {f"{name}={value}": np.asarray(column == value, np.bool_) for value, _ in sorted(frequent)}


def _text(value: object) -> str | None:
    return None if value is None or isinstance(value, float) else str(value)
