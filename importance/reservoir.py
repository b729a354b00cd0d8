"""Decide which samples stay: hashed priority sampling with forward decay. Pure functions of keys, no SQL, no Kafka.

A sample of importance weight w and event time t gets, once and for all,

    ℓ = ln w + λ·(t − L)     λ = ln 2 / half-life, L a constant landmark
    key = ℓ − ln u           u uniform, hashed from the id

and a stratum of capacity k holds the k largest keys. κ, its threshold, is the largest key it ever turned away or gave
up; p = min(1, exp(ℓ − κ)) is the probability of being held, and Σ f/p estimates Σ f over all that was offered without
bias (Duffield, Lund & Thorup 2007; Cohen & Kaplan 2008). Decay shifts every ℓ alike, so nothing is ever rescaled.

`admit` gives keys to samples; `Reservoir` is the buffer in memory, and the oracle of the one in Postgres.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from math import exp, inf, log

import msgspec
import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput
from importance.hashing import check_salt, uniforms
from importance.sample import Correction, Outcome, Rating, Sample, label_table, labels
from importance.scores import Floats, Offer, Scores
from importance.selection import FLOOR, check_floor, proportional
from importance.strata import NEGATIVE, POSITIVE, STRATA, StrataPolicy, places


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """What makes a key besides event and version; it must not change under a buffer that is in use.

    ``half_life_seconds`` None means no decay; ``landmark_ms`` is L, in event time.
    """

    strata: StrataPolicy
    salt: str
    floor: float = FLOOR
    half_life_seconds: float | None = None
    landmark_ms: int = 0
    positive_from: Outcome = Outcome.CLICK

    def __post_init__(self) -> None:
        """Refuse what makes no key."""
        check_salt(self.salt)
        check_floor(self.floor)
        if self.half_life_seconds is not None and not 0 < self.half_life_seconds < inf:
            raise InvalidInput(f"the half-life is {self.half_life_seconds} seconds; it must be above 0, or absent")

    @property
    def decay_per_ms(self) -> float:
        """λ, per millisecond of event time."""
        return 0.0 if self.half_life_seconds is None else log(2) / self.half_life_seconds / 1000


@dataclass(frozen=True, slots=True)
class Threshold:
    """κ of a stratum, −∞ until something was turned away, and the epoch that a re-scoring raises."""

    kappa: float = -inf
    epoch: int = 0


_OPEN = Threshold()


@dataclass(frozen=True, slots=True)
class Door:
    """The thresholds of all strata as somebody last saw them. An old copy is never wrong, only less strict."""

    thresholds: Mapping[str, Threshold] = field(default_factory=dict)

    def __getitem__(self, stratum: str) -> Threshold:
        return self.thresholds.get(stratum, _OPEN)

    def kappas(self) -> Floats:
        """κ of each of `STRATA`, in that order."""
        return np.array([self[stratum].kappa for stratum in STRATA])


def inclusion_probability(log_weight: float, kappa: float, limit: float = 0.0) -> float:
    """The chance of being held: p = exp(min(0, m, ℓ − κ)).

    m = ``limit`` ≤ 0 is what an earlier draw left; 0 for a row that was never scored again.

    >>> inclusion_probability(log_weight=0.0, kappa=log(4))
    0.25
    >>> inclusion_probability(log_weight=-3.0, kappa=-inf)
    1.0
    """
    return exp(min(0.0, limit, log_weight - kappa))


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """How the samples of a batch were drawn; every array has shape [n].

    ``place`` is the stratum's place in `STRATA`, ``log_weight`` is ℓ, and ``key`` is ℓ − ln u.
    """

    place: NDArray[np.intp]
    log_weight: Floats
    key: Floats

    def kept(self, door: Door) -> NDArray[np.bool_]:
        """Whether each lies above its stratum's κ."""
        return self.key > door.kappas()[self.place]

    def probability(self, door: Door) -> list[float]:
        """The chance of each to lie above that κ; see `inclusion_probability`."""
        return [exp(x) for x in np.minimum(0.0, self.log_weight - door.kappas()[self.place]).tolist()]


_BY_IMPORTANCE = np.array([name in (POSITIVE, NEGATIVE) for name in STRATA])


def draw(samples: Sequence[Sample], closed: Sequence[int], scores: Scores, policy: AdmissionPolicy) -> Draws:
    """Draw a key for each sample; ``closed`` are the labels at the windows' close.

    Holdout and uniform strata know no importance: w = 1. Nothing here depends on who else is in the batch: a key must
    be the same to the bit wherever it is computed.
    """
    ids = [sample.id for sample in samples]
    place = places(ids, [sample.subject for sample in samples], closed, policy.strata)
    weights = proportional(scores.importance, scores.mean_importance, policy.floor)
    times_ms = np.fromiter((sample.time_ms for sample in samples), np.int64, len(samples))
    log_weight = np.where(_BY_IMPORTANCE[place], logarithms(weights), 0.0)
    log_weight += policy.decay_per_ms * (times_ms - policy.landmark_ms)
    return Draws(place, log_weight, log_weight - logarithms(uniforms(ids, policy.salt, "draw")))


def logarithms(values: Floats) -> Floats:
    """The ln of each, one by one: a vectorised logarithm may differ in the last bit with the place in the batch."""
    return np.fromiter(map(log, values.tolist()), np.float64, len(values))


def admit(samples: Sequence[Sample], scores: Scores, policy: AdmissionPolicy, door: Door) -> list[Offer]:
    """An offer for each sample, in order: its stratum, key, and whether the door lets it in.

    Those that it turns away are offers too: their scores are published like everybody's.
    """
    if len(samples) != len(scores):
        raise InvalidInput(f"{len(scores)} scores for {len(samples)} samples; there must be one each")
    closed = labels(samples, policy.positive_from)
    draws = draw(samples, closed, scores, policy)
    strata = [STRATA[place] for place in draws.place.tolist()]
    return list(
        map(
            Offer,
            samples,
            closed,
            scores.importance.tolist(),
            repeat(scores.estimator),
            repeat(scores.model),
            repeat(None) if scores.prediction is None else scores.prediction.tolist(),
            strata,
            draws.log_weight.tolist(),
            draws.key.tolist(),
            draws.probability(door),
            draws.kept(door).tolist(),
            [door[stratum].epoch for stratum in strata],
        )
    )


def _newest(first: Rating | None, second: Rating | None) -> Rating | None:
    """The rating that counts of two."""
    if first is None or second is None:
        return first or second
    return max(first, second)


class Reservoir:
    """The bounded buffer in memory.

    After a trim, rows and thresholds are a function of the set of offers: no order, repetition or split over several
    reservoirs changes them. Between trims it may hold more than its capacity, as the buffer in Postgres does.
    """

    def __init__(self, capacities: Mapping[str, int], positive_from: Outcome = Outcome.CLICK) -> None:
        self.capacities = dict(capacities)
        self.inserts = 0
        self._labels = label_table(positive_from)
        self._rows: dict[str, Offer] = {}
        self._thresholds = dict.fromkeys(self.capacities, _OPEN)

    def __len__(self) -> int:
        return len(self._rows)

    def door(self) -> Door:
        """The thresholds as they are now."""
        return Door(dict(self._thresholds))

    def offer(self, offers: Iterable[Offer]) -> None:
        """Take in what lies above the threshold; an id that is already here stays as it is."""
        for offer in offers:
            if offer.key > self._thresholds[offer.stratum].kappa and offer.sample.id not in self._rows:
                self._rows[offer.sample.id] = offer
                self.inserts += 1

    def correct(self, corrections: Iterable[Correction]) -> None:
        """Add late actions to the rows they answer. Label and rating follow; stratum, key and p are of the draw."""
        for late in corrections:
            row = self._rows.get(late.sample_id)
            if row is None:
                continue
            actions = row.sample.actions | late.actions
            rating = _newest(row.sample.rating, late.rating)
            sample = msgspec.structs.replace(row.sample, actions=actions, rating=rating)
            self._rows[late.sample_id] = msgspec.structs.replace(row, sample=sample, label=self._labels[actions])

    def trim(self) -> bool:
        """Give up all but the k largest keys of each stratum, and raise κ to the largest given up; True if any was."""
        held = len(self._rows)
        for stratum, capacity in self.capacities.items():
            keys = np.sort([row.key for row in self._rows.values() if row.stratum == stratum])
            if len(keys) > capacity:
                self._raise(stratum, float(keys[len(keys) - capacity - 1]))
        return len(self._rows) < held

    def merge(self, other: "Reservoir") -> None:
        """Take over another reservoir's rows and thresholds, as if all its offers had been made here."""
        for stratum, theirs in other._thresholds.items():
            self._raise(stratum, theirs.kappa)
        self.offer(other._rows.values())
        self.trim()

    def rows(self) -> list[Offer]:
        """What is held, by falling key: p by the present κ, label by all the actions known by now."""
        rows = [
            msgspec.structs.replace(
                row, probability=inclusion_probability(row.log_weight, self._thresholds[row.stratum].kappa), kept=True
            )
            for row in self._rows.values()
        ]
        return sorted(rows, key=lambda row: (-row.key, row.sample.id))

    def _raise(self, stratum: str, kappa: float) -> None:
        """Raise κ, and delete every row at or below it."""
        now = self._thresholds[stratum]
        if kappa > now.kappa:
            self._thresholds[stratum] = Threshold(kappa, now.epoch)
            self._rows = {id_: row for id_, row in self._rows.items() if row.stratum != stratum or row.key > kappa}
