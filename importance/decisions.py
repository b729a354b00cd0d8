"""The result of reading a partition: samples, corrections of older samples, dead records."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from importance.partition_progress import Progress
from importance.sample import Correction, Sample, later

_ACTIONS: Final = ("click", "add_to_cart", "purchase", "return", "rating")
_EARLY: Final = ("impression", "early")
OUTCOMES: Final = (
    ("heartbeat", "accepted"),
    *((kind, outcome) for kind in ("impression", *_ACTIONS) for outcome in ("accepted", "duplicate", "late")),
    _EARLY,
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

    __slots__ = ("_befores_ms", "_corrections", "_early", "counts", "dead", "late", "progress", "samples")

    def __init__(self, progress: Progress) -> None:
        self.samples: list[Sample] = []
        self.dead: list[DeadRecord] = []
        self.late: list[LateImpression] = []
        self.counts: Counter[tuple[str, str]] = Counter()
        self.progress = progress
        self._befores_ms: list[int] = []  # event time just before the impression of each sample
        self._early: set[int] = set()  # offsets of the samples that a bound decided
        self._corrections: dict[str, Correction] = {}

    @property
    def corrections(self) -> list[Correction]:
        """Return at most one correction for each sample, to be applied after the samples are stored."""
        return list(self._corrections.values())

    def decide(self, sample: Sample, before_ms: int, early: bool) -> None:
        """Add a sample. A correction from before it has found nothing to correct.

        ``before_ms`` is event time just before its impression; ``early``: a bound decided it before its window closed.
        """
        if early:
            self._early.add(sample.offset)
            self.counts[_EARLY] += 1
        self.samples.append(sample)
        self._befores_ms.append(before_ms)
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
        self.counts = Counter({_EARLY: len(self._early)} if self._early else {})
        self.dead, self.late = [], []

    def extend(self, later: "Decisions") -> None:
        """Add what was decided next: the same as if all had been read as one chunk."""
        for sample, before_ms in zip(later.samples, later._befores_ms, strict=True):
            self.decide(sample, before_ms, early=False)
        self._early |= later._early
        for correction in later.corrections:
            self.correct(correction)
        self.dead.extend(later.dead)
        self.late.extend(later.late)
        self.counts.update(later.counts)
        self.progress = later.progress

    def parts(self, stored: Progress, max_samples: int) -> Iterator["Decisions"]:
        """Split into parts of at most ``max_samples`` samples, to be stored in order, each in a transaction of its own.

        One record can decide all that waits, far more than one transaction should hold. A worker that dies between two
        parts leaves a progress from which another continues to the same result: the offset of the first sample that is
        not stored, and event time just before it. Reading again starts where it did at ``stored``, the progress before
        the first part, so that everything the later parts depend on is restored.

        The outcome of each record (its count, or a dead record) goes with the first part, whose progress counts the
        records as read. A correction goes with the part that stores its sample, any other with the first.
        """
        count = -(-len(self.samples) // max_samples)
        if count <= 1:
            yield self
            return
        size = -(-len(self.samples) // count)
        part_of = {sample.id: index // size for index, sample in enumerate(self.samples)}
        corrections: list[list[Correction]] = [[] for _ in range(count)]
        for correction in self.corrections:
            corrections[part_of.get(correction.sample_id, 0)].append(correction)
        for number, start in enumerate(range(0, len(self.samples), size)):
            end = start + size
            part = Decisions(self._progress_at(end, stored))
            part.samples, part._befores_ms = self.samples[start:end], self._befores_ms[start:end]
            part._corrections = {correction.sample_id: correction for correction in corrections[number]}
            if number == 0:
                part.dead, part.late = self.dead, self.late
                part.counts = self.counts - Counter({_EARLY: len(self._early)})
            part._early = {sample.offset for sample in part.samples} & self._early
            if part._early:
                part.counts[_EARLY] += len(part._early)
            yield part

    def _progress_at(self, index: int, stored: Progress) -> Progress:
        """Progress when the samples before ``index`` are stored, and no other."""
        if index >= len(self.samples):
            return self.progress
        return msgspec.structs.replace(
            stored,
            next=self.samples[index].offset,
            event_time_ms=self._befores_ms[index],
            read=self.progress.read,
            ceilings=self.progress.ceilings,
        )
