"""Decide which samples stay: hashed priority sampling with forward decay. Pure functions of keys, no SQL, no Kafka.

A sample of importance weight w and event time t gets, once and for all,

    ℓ = ln w + λ·(t − L)     λ = ln 2 / half-life, L a constant landmark
    key = ℓ − ln u           u uniform, hashed from the id

and a stratum of capacity k holds the k largest keys. κ, its threshold, is the largest key it ever rejected or evicted;
p = min(1, exp(ℓ − κ)) is the probability of being held, and Σ f/p estimates Σ f over all that was offered without bias
(Duffield, Lund & Thorup 2007; Cohen & Kaplan 2008). Decay shifts every ℓ alike, so nothing is ever rescaled.

A subject holds at most q rows of a stratum, its q largest keys; κₕ is the largest key that this bound ever rejected,
and p = min(1, exp(ℓ − max(κ, κₕ))). While a row is held neither threshold depends on its own u, so Σ f/p stays without
bias (a substitutable threshold: Ting 2017), and rows and thresholds stay a function of the set of offers. κₕ ≤ κ has
no effect and is dropped: a stratum keeps at most k/q of them.

`admit` gives keys to samples; `Reservoir` is the buffer in memory, and the oracle of the one in Postgres.

A row that is scored again gets another ℓ and key, with the same u. That it is there at all it owes to the old ones, so
it keeps m = min(m, ℓ − κ) of before, and p = exp(min(0, m, ℓ − κ)). When a whole stratum is scored again, κ restarts
at −∞; an offer above the previous threshold then keeps m in the same way.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from math import exp, inf, log
from operator import attrgetter

import msgspec
import numpy as np

from importance.arrays import Booleans, Floats
from importance.errors import InvalidInput
from importance.hashing import check_salt, uniforms
from importance.sample import Correction, Outcome, Sample, label_table, labels, later
from importance.scores import Offer, Scores
from importance.selection import FLOOR, PROPORTIONAL, SELECTIONS, TOP_FRACTION, check_floor, proportional, top_fraction
from importance.strata import NEGATIVE, POSITIVE, UNWEIGHTED, StrataPolicy, assign
from importance.thresholds import OPEN, AdmissionThresholds, Threshold, inclusion_probability

Score = Callable[[Sequence[Sample]], Scores]
"""Scores samples, in order."""


@dataclass(frozen=True, slots=True)
class AdmissionPolicy:
    """The configuration of keys besides event and version; it must not change while a buffer is in use.

    ``half_life_seconds`` None means no decay; ``landmark_ms`` is L, in event time.
    """

    strata: StrataPolicy
    salt: str
    floor: float = FLOOR
    half_life_seconds: float | None = None
    landmark_ms: int = 0
    positive_from: Outcome = Outcome.CLICK
    selection: str = PROPORTIONAL

    def __post_init__(self) -> None:
        """Refuse a configuration without valid keys."""
        check_salt(self.salt)
        check_floor(self.floor)
        if self.selection not in SELECTIONS:
            raise InvalidInput(f"selection is {self.selection!r}; it must be one of {', '.join(SELECTIONS)}")
        if self.half_life_seconds is not None and not 0 < self.half_life_seconds < inf:
            raise InvalidInput(f"the half-life is {self.half_life_seconds} seconds; it must be above 0, or absent")

    @property
    def decay_per_ms(self) -> float:
        """Return λ, per millisecond of event time."""
        return 0.0 if self.half_life_seconds is None else log(2) / self.half_life_seconds / 1000

    def scoring_config(self, stratum: str, importance: str) -> str:
        """Return the scoring configuration of a stratum's keys; keys of different ones are never compared.

        ``importance`` is the estimator or mixture, which uniform strata do not use.

        >>> AdmissionPolicy(StrataPolicy("s"), "s", half_life_seconds=60.0).scoring_config(POSITIVE, "entropy")
        'entropy, proportional, floor 0.25, half-life 60 s'
        """
        decay = "no decay" if self.half_life_seconds is None else f"half-life {self.half_life_seconds:.12g} s"
        if stratum in UNWEIGHTED:
            return f"uniform, {decay}"
        floor = f", floor {self.floor:.12g}" if self.selection == PROPORTIONAL else ""
        return f"{importance}, {self.selection}{floor}, {decay}"


_time_ms = attrgetter("time_ms")


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """How n samples were drawn: ``strata`` and ``subjects`` [n], ``log_weight`` ℓ [n], and ``key`` ℓ − ln u [n]."""

    strata: Sequence[str]
    subjects: Sequence[str]
    log_weight: Floats
    key: Floats

    def kept(self, thresholds: AdmissionThresholds) -> Booleans:
        """Return whether each lies above the threshold of its stratum and subject."""
        return self.key > thresholds.kappas(self.strata, self.subjects)

    def probability(self, thresholds: AdmissionThresholds) -> list[float]:
        """Return the chance of each to lie above that threshold; see `inclusion_probability`."""
        with np.errstate(invalid="ignore"):  # −∞ − (−∞): a weight of 0 before anything was rejected
            exponents = np.minimum(0.0, self.log_weight - thresholds.kappas(self.strata, self.subjects))
        exponents[self.log_weight == -inf] = -inf
        return [exp(exponent) for exponent in exponents.tolist()]


def draw(samples: Sequence[Sample], strata: Sequence[str], scores: Scores, policy: AdmissionPolicy) -> Draws:
    """Draw a key for each sample in its stratum.

    Uniform strata ignore importance: w = 1. What lies below a top fraction has w = 0: key −∞, and no chance. Nothing
    here depends on who else is in the batch: a key must be the same to the bit wherever it is computed.
    """
    if len(samples) != len(scores):
        raise InvalidInput(f"{len(scores)} scores for {len(samples)} samples; there must be one each")
    ids = [sample.id for sample in samples]
    if policy.selection == TOP_FRACTION:
        weights = top_fraction(scores.importance, scores.top_threshold, uniforms(ids, policy.salt, "top"))
    else:
        weights = proportional(scores.importance, scores.mean_importance, policy.floor)
    times_ms = np.fromiter(map(_time_ms, samples), np.int64, len(samples))
    is_unweighted = np.fromiter(map(UNWEIGHTED.__contains__, strata), np.bool_, len(samples))
    log_weight = np.where(is_unweighted, 0.0, logarithms(weights))
    log_weight += policy.decay_per_ms * (times_ms - policy.landmark_ms)
    subjects = [sample.subject for sample in samples]
    return Draws(strata, subjects, log_weight, log_weight - logarithms(uniforms(ids, policy.salt, "draw")))


def logarithms(values: Floats) -> Floats:
    """Return the ln of each ≥ 0, one by one: vectorised, the last bit may depend on the position in the batch."""
    logarithm = log if values.all() else _logarithm
    return np.fromiter(map(logarithm, values.tolist()), np.float64, len(values))


def _logarithm(value: float) -> float:
    return log(value) if value else -inf


def admit(
    samples: Sequence[Sample], scores: Scores, policy: AdmissionPolicy, thresholds: AdmissionThresholds
) -> list[Offer]:
    """Return an offer for each sample, in order: its stratum, key, and whether it lies above the threshold.

    Rejected samples are offers too: their scores are published like all others.
    """
    closed = labels(samples, policy.positive_from)
    strata = assign(
        [sample.id for sample in samples],
        [sample.subject for sample in samples],
        closed,
        policy.strata,
        [sample.attributes for sample in samples],
    )
    draws = draw(samples, strata, scores, policy)
    epochs = {stratum: thresholds[stratum].epoch for stratum in set(strata)}
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
            draws.probability(thresholds),
            draws.kept(thresholds).tolist(),
            map(epochs.__getitem__, strata),
        )
    )


def rescored(
    rows: Sequence[Offer], score: Score, policy: AdmissionPolicy, thresholds: AdmissionThresholds
) -> list[Offer]:
    """Return rows with a new score, ℓ and key, and m of the old ones; ``thresholds`` are those they were held by."""
    samples = [row.sample for row in rows]
    scores = score(samples)
    draws = draw(samples, [row.stratum for row in rows], scores, policy)
    columns = (scores.importance.tolist(), draws.log_weight.tolist(), draws.key.tolist())
    return [
        msgspec.structs.replace(
            row, importance=importance, estimator=scores.estimator, model=scores.model, log_weight=log_weight, key=key,
            limit=min(row.limit, row.log_weight - thresholds.kappa(row.stratum, row.sample.subject)),
        )
        for row, importance, log_weight, key in zip(rows, *columns, strict=True)
    ]  # fmt: skip


class Reservoir:
    """The bounded buffer in memory.

    After a trim, rows and thresholds are a function of the set of offers: no order, repetition or split over several
    reservoirs changes them. Between trims it may hold more than its capacity, as the buffer in Postgres does.

    ``subject_capacities`` bound the rows of one subject in each stratum; without them nothing does.
    """

    def __init__(
        self,
        capacities: Mapping[str, int],
        positive_from: Outcome = Outcome.CLICK,
        subject_capacities: Mapping[str, int] | None = None,
    ) -> None:
        self.capacities = dict(capacities)
        self.subject_capacities = dict(subject_capacities or {})
        self.inserts = 0
        self._labels = label_table(positive_from)
        self._rows: dict[str, Offer] = {}
        self._thresholds = dict.fromkeys(self.capacities, OPEN)
        self._subjects: dict[tuple[str, str], float] = {}  # κₕ > κ, by stratum and subject
        self._erased: dict[str, int] = {}  # up to which event time, by subject

    def __len__(self) -> int:
        return len(self._rows)

    def thresholds(self) -> AdmissionThresholds:
        """Return the thresholds as they are now."""
        return AdmissionThresholds(dict(self._thresholds), dict(self._subjects))

    def offer(self, offers: Iterable[Offer]) -> None:
        """Store what lies above the threshold; an id that is already here stays as it is.

        An offer above the threshold from before its stratum was scored again keeps the chance it had then; one
        that did not pass stays outside.
        """
        for offer in offers:
            if not offer.kept:
                continue
            if offer.threshold_epoch < self._thresholds[offer.stratum].epoch:
                self._take(msgspec.structs.replace(offer, limit=min(offer.limit, log(offer.probability))))
            else:
                self._take(offer)

    def correct(self, corrections: Iterable[Correction]) -> None:
        """Add late actions to the rows they answer. Label and rating follow; stratum, key and p are of the draw."""
        for late in corrections:
            row = self._rows.get(late.sample_id)
            if row is None:
                continue
            actions = row.sample.actions | late.actions
            rating = later(row.sample.rating, late.rating)
            sample = msgspec.structs.replace(row.sample, actions=actions, rating=rating)
            self._rows[late.sample_id] = msgspec.structs.replace(row, sample=sample, label=self._labels[actions])

    def trim(self) -> bool:
        """Evict all but the k largest keys of each stratum, and raise κ to the largest evicted; True if any was.

        Before that, all but the q largest of each subject, which raises its κₕ.
        """
        held = len(self._rows)
        for stratum, capacity in self.capacities.items():
            self._bound_subjects(stratum)
            keys = np.sort([row.key for row in self._rows.values() if row.stratum == stratum])
            if len(keys) > capacity:
                self._raise(stratum, float(keys[len(keys) - capacity - 1]))
        return len(self._rows) < held

    def erase(self, subject: str, until_ms: int) -> None:
        """Delete what is held of a subject, and refuse its samples of event times up to ``until_ms`` from now on.

        No eviction: κ stays, and with it the chances of all other rows. The subject starts again without κₕ.
        """
        self._erased[subject] = until_ms
        self._rows = {id_: row for id_, row in self._rows.items() if row.sample.subject != subject}
        self._subjects = {at: kappa for at, kappa in self._subjects.items() if at[1] != subject}

    def resize(self, capacities: Mapping[str, int], subject_capacities: Mapping[str, int] | None = None) -> None:
        """Change the capacities: shrinking raises κ to the largest key evicted, growing keeps it."""
        self.capacities = dict(capacities)
        self.subject_capacities = dict(subject_capacities or {})
        for stratum in capacities:
            self._thresholds.setdefault(stratum, OPEN)
        self.trim()

    def merge(self, other: "Reservoir") -> None:
        """Take over another reservoir's rows and thresholds, as if all its offers had been made here.

        The keys of both must have one scoring configuration. Rows at or below the larger κ of the two are evicted.
        """
        for stratum, theirs in other._thresholds.items():
            self._raise(stratum, theirs.kappa)
        for (stratum, subject), kappa in other._subjects.items():
            self._raise_subject(stratum, subject, kappa)
        for row in other._rows.values():
            self._take(row)
        self.trim()

    def dissolve(self, stratum: str) -> None:
        """Merge a stratum into those of its rows' labels, which must have the same scoring configuration."""
        gone = self._thresholds.pop(stratum)
        del self.capacities[stratum]
        rows = [row for row in self._rows.values() if row.stratum == stratum]
        for row in rows:
            del self._rows[row.sample.id]
        own = self._forget_subjects(stratum)
        for name in (POSITIVE, NEGATIVE):
            self._raise(name, gone.kappa)
            for subject, kappa in own.items():
                self._raise_subject(name, subject, kappa)
        for row in rows:
            self._take(msgspec.structs.replace(row, stratum=POSITIVE if row.label else NEGATIVE))
        self.trim()

    def rescore(self, stratum: str, score: Score, policy: AdmissionPolicy) -> None:
        """Score a whole stratum again, by another estimator, version, floor or half-life; its κ restarts."""
        self.trim()
        thresholds = self.thresholds()
        rows = [row for row in self._rows.values() if row.stratum == stratum]
        self._thresholds[stratum] = Threshold(epoch=thresholds[stratum].epoch + 1)
        self._forget_subjects(stratum)
        self._replace(rescored(rows, score, policy, thresholds))

    def rescore_rows(self, ids: Iterable[str], score: Score, policy: AdmissionPolicy) -> None:
        """Score single rows again by their stratum's configuration: κ stays, and rows that fall to it are evicted."""
        self.trim()
        self._replace(rescored([self._rows[id_] for id_ in ids if id_ in self._rows], score, policy, self.thresholds()))

    def rows(self) -> list[Offer]:
        """Return what is held, by falling key: p by the present thresholds, label by all the actions known by now."""
        thresholds = self.thresholds()
        rows = [
            msgspec.structs.replace(
                row,
                probability=inclusion_probability(
                    row.log_weight, thresholds.kappa(row.stratum, row.sample.subject), row.limit
                ),
                kept=True,
            )
            for row in self._rows.values()
        ]
        return sorted(rows, key=lambda row: (-row.key, row.sample.id))

    def _take(self, row: Offer) -> None:
        is_erased = row.sample.time_ms <= self._erased.get(row.sample.subject, -1)
        if self._passes(row) and not is_erased and row.sample.id not in self._rows:
            self._rows[row.sample.id] = row
            self.inserts += 1

    def _replace(self, rows: Iterable[Offer]) -> None:
        """Replace rows by re-scored ones, or drop those whose new key is too small."""
        for row in rows:
            if self._passes(row):
                self._rows[row.sample.id] = row
            else:
                del self._rows[row.sample.id]

    def _passes(self, row: Offer) -> bool:
        own = self._subjects.get((row.stratum, row.sample.subject), -inf)
        return row.key > max(self._thresholds[row.stratum].kappa, own)

    def _bound_subjects(self, stratum: str) -> None:
        """Evict what subjects hold beyond their bound."""
        capacity = self.capacities[stratum]
        limit = self.subject_capacities.get(stratum, capacity)
        if limit >= capacity:
            return
        keys: dict[str, list[float]] = {}
        for row in self._rows.values():
            if row.stratum == stratum:
                keys.setdefault(row.sample.subject, []).append(row.key)
        for subject, own in keys.items():
            if len(own) > limit:
                self._raise_subject(stratum, subject, sorted(own)[-limit - 1])

    def _raise_subject(self, stratum: str, subject: str, kappa: float) -> None:
        """Raise κₕ, and delete every row of the subject at or below it."""
        if kappa > max(self._thresholds[stratum].kappa, self._subjects.get((stratum, subject), -inf)):
            self._subjects[stratum, subject] = kappa
            gone = [
                row.sample.id
                for row in self._rows.values()
                if row.stratum == stratum and row.sample.subject == subject and row.key <= kappa
            ]
            for id_ in gone:
                del self._rows[id_]

    def _forget_subjects(self, stratum: str) -> dict[str, float]:
        """Remove every κₕ of a stratum."""
        return {name: self._subjects.pop((at, name)) for at, name in list(self._subjects) if at == stratum}

    def _raise(self, stratum: str, kappa: float) -> None:
        """Raise κ, and delete every row at or below it."""
        now = self._thresholds[stratum]
        if kappa > now.kappa:
            self._thresholds[stratum] = Threshold(kappa, now.epoch)
            self._rows = {id_: row for id_, row in self._rows.items() if row.stratum != stratum or row.key > kappa}
            self._subjects = {at: own for at, own in self._subjects.items() if at[0] != stratum or own > kappa}
