"""The interactions of a data set: impressions and their answers, as values."""

from typing import NamedTuple

from importance.sample import Action

Attributes = dict[str, str | int | float | bool | None]


class Shown(NamedTuple):
    """An item shown at a ``position``; ``time_ms`` is when. ``action``: what it was answered with, or `Action.NONE`.

    ``propensity`` is the chance of its being shown there: a weight for estimates and never a feature.
    """

    id: str
    time_ms: int
    subject: str
    query: str
    item: str
    text: str
    position: int
    propensity: float
    attributes: Attributes
    action: Action


class Answer(NamedTuple):
    """What a subject did about a shown item: ``kind`` is an event's type, as ``click`` or ``return``."""

    impression: str
    kind: str
    time_ms: int
    subject: str
