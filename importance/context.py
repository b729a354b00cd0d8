"""The context of a recommendation: what the subject had to do with last, as the text that a model reads as the query.

One wording for the data sets that a model is trained on and for the rankings that it serves.
"""

from collections.abc import Iterable
from typing import Final

MAX_CHARACTERS: Final = 2_048  # of a query, by the contract of events


def context_of(texts: Iterable[str]) -> str:
    """Join items' texts, oldest first; the oldest are left out where a query may not be so long.

    >>> context_of(["red lantern", "blue mug"])
    'red lantern, blue mug'
    >>> len(context_of(["a" * 2_000, "b" * 2_000]))
    2000
    """
    kept: list[str] = []
    length = -2
    for text in reversed(list(texts)):
        length += len(text) + 2
        if length > MAX_CHARACTERS:
            break
        kept.append(text)
    return ", ".join(reversed(kept))
