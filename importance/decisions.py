"""What reading a partition decided: samples, corrections of older samples, dead records. Knows nothing of the join."""

from collections import Counter
from typing import Final

import msgspec

from importance.partition_progress import Progress
from importance.sample import Correction, Sample, later

_ACTIONS: Final = ("click", "add_to_cart", "purchase", "return", "rating")
OUTCOMES: Final = (
    ("heartbeat", "accepted"),
    *((kind, outcome) for kind in ("impression", *_ACTIONS) for outcome in ("accepted", "duplicate", "late")),
    ("impression", "early"),
    ("action", "early"),
    ("invalid", "dead"),
)
"""Every (event type, outcome) that is counted."""


class DeadRecord(msgspec.Struct, frozen=True):
    """A record that is not a valid event, or came too late, and why."""

    offset: int
    reason: str
    detail: str


class LateImpression(msgspec.Struct, frozen=True, gc=False):
    """An impression past the horizon: its own time, and event time when it was read."""

    own_ms: int
    event_time_ms: int


class Decisions:
    """What reading some records decided, in order.

    ``counts`` are of (event type or ``invalid``, outcome): ``accepted``; ``duplicate`` (its id was seen);
    ``late`` (an impression past the horizon, or an action that answers one); ``early`` (decided, or expired, because
    of a bound); ``dead``.
    """

    __slots__ = ("_corrections", "counts", "dead", "late", "progress", "samples")

    def __init__(self, progress: Progress) -> None:
        self.samples: list[Sample] = []
        self.dead: list[DeadRecord] = []
        self.late: list[LateImpression] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.progress = progress
        self._corrections: dict[str, Correction] = {}

    @property
    def corrections(self) -> list[Correction]:
        """At most one a sample; to be applied after the samples are stored."""
        return list(self._corrections.values())

    def decide(self, sample: Sample) -> None:
        """Add a sample. A correction from before it has found nothing to correct."""
        self.samples.append(sample)
        if self._corrections:
            self._corrections.pop(sample.id, None)

    def correct(self, correction: Correction) -> None:
        """Add a correction, to the one that is there for its sample if any."""
        known = self._corrections.get(correction.sample_id)
        if known is not None:
            actions, rating = known.actions | correction.actions, later(known.rating, correction.rating)
            correction = Correction(correction.sample_id, actions, rating)
        self._corrections[correction.sample_id] = correction

    def forget_reading(self) -> None:
        """Keep the decisions, drop the outcome of each record: that was counted and sent at the first reading."""
        early = self.counts["impression", "early"]
        self.counts = Counter({("impression", "early"): early} if early else {})
        self.dead, self.late = [], []

    def extend(self, later: "Decisions") -> None:
        """Add what was decided next: the same as if all had been read as one chunk."""
        for sample in later.samples:
            self.decide(sample)
        for correction in later.corrections:
            self.correct(correction)
        self.dead.extend(later.dead)
        self.late.extend(later.late)
        self.counts.update(later.counts)
        self.progress = later.progress
