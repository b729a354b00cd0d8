"""What an interaction became: an impression, the actions that answered it, and the label they make.

Pure values. Independent of decoding, joining, scoring and storage.
"""

from collections.abc import Iterable
from enum import IntFlag, StrEnum
from functools import cache

import msgspec

Pair = tuple[str, str]
"""What a model reads of a sample: the item's text, its price band included, and the query."""


class Action(IntFlag):
    """A set of action kinds, a bit each, so that order and repetition do not matter."""

    NONE = 0
    CLICK = 1
    ADD_TO_CART = 2
    PURCHASE = 4
    RETURN = 8
    RATING = 16


class Outcome(StrEnum):
    """The strongest action of a sample, weakest first."""

    NONE = "none"
    RETURN = "return"
    RATING = "rating"
    CLICK = "click"
    ADD_TO_CART = "add_to_cart"
    PURCHASE = "purchase"


_STRENGTH = {outcome: rank for rank, outcome in enumerate(Outcome)}


def outcome(actions: Action | int) -> Outcome:
    """Return the strongest action of a set. Any return cancels a purchase.

    >>> outcome(Action.CLICK | Action.PURCHASE)
    <Outcome.PURCHASE: 'purchase'>
    >>> outcome(Action.CLICK | Action.PURCHASE | Action.RETURN)
    <Outcome.CLICK: 'click'>
    >>> outcome(Action.PURCHASE | Action.RETURN)
    <Outcome.RETURN: 'return'>
    """
    if actions & Action.PURCHASE and not actions & Action.RETURN:
        return Outcome.PURCHASE
    if actions & Action.ADD_TO_CART:
        return Outcome.ADD_TO_CART
    if actions & Action.CLICK:
        return Outcome.CLICK
    if actions & Action.RATING:
        return Outcome.RATING
    return Outcome.RETURN if actions & Action.RETURN else Outcome.NONE


def label(actions: Action | int, positive_from: Outcome = Outcome.CLICK) -> int:
    """Return 1 when the outcome is ``positive_from`` or stronger, else 0.

    >>> label(Action.CLICK), label(Action.CLICK, positive_from=Outcome.PURCHASE), label(Action.NONE)
    (1, 0, 0)
    """
    return int(_STRENGTH[outcome(actions)] >= _STRENGTH[positive_from])


@cache
def label_table(positive_from: Outcome = Outcome.CLICK) -> tuple[int, ...]:
    """Return the label of every set of actions, at the set's number.

    >>> label_table()[Action.CLICK], label_table()[Action.RETURN]
    (1, 0)
    """
    return tuple(label(actions, positive_from) for actions in range(2 * max(Action)))


@cache
def outcome_table() -> tuple[Outcome, ...]:
    """Return the outcome of every set of actions, at the set's number.

    >>> outcome_table()[Action.CLICK | Action.RETURN]
    <Outcome.CLICK: 'click'>
    """
    return tuple(map(outcome, range(2 * max(Action))))


class Rating(msgspec.Struct, frozen=True, order=True):
    """A rating; of several the latest counts, by event time, then by id (the order of the fields)."""

    time_ms: int
    id: str
    value: float


def later(one: Rating | None, other: Rating | None) -> Rating | None:
    """Return the rating that counts of two: the latest by event time, then by id."""
    if one is None or other is None:
        return one or other
    return max(one, other)


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One decided impression. Its id is the impression's; ``offset`` is where the impression lies in its partition.

    ``time_ms`` is event time in milliseconds since the epoch; ``attributes`` are the impression's scalars.
    (``gc=False``: no cycle can lead through it, so the collector need not scan it.)
    """

    id: str
    subject: str
    surface: str
    query: str
    item: str
    text: str
    time_ms: int
    partition: int
    offset: int
    actions: int = 0
    rating: Rating | None = None
    position: int | None = None
    propensity: float | None = None
    value: float | None = None
    attributes: dict[str, str | int | float | bool | None] = {}


def labels(samples: Iterable[Sample], positive_from: Outcome = Outcome.CLICK) -> list[int]:
    """Return the label of each sample. A table, since an enum's bit test takes microseconds and there are millions."""
    table = label_table(positive_from)
    return [table[sample.actions] for sample in samples]


class Correction(msgspec.Struct, frozen=True):
    """An action that came after its impression was decided: the stored sample gains its bit (and rating)."""

    sample_id: str
    actions: int
    rating: Rating | None = None
