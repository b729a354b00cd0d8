"""Assign samples to the strata of the buffer: holdout, uniform, a segment, positive or negative.

The strata are exclusive and tested in that order. Independent of scores and keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, isclose

from importance.errors import InvalidInput
from importance.hashing import check_salt, uniforms
from importance.segments import Scalar, Segments

HOLDOUT, UNIFORM, POSITIVE, NEGATIVE = "holdout", "uniform", "positive", "negative"
STRATA = (HOLDOUT, UNIFORM, POSITIVE, NEGATIVE)
UNWEIGHTED = (HOLDOUT, UNIFORM)  # keys without importance: w = 1


@dataclass(frozen=True, slots=True)
class StrataPolicy:
    """How the stream and the buffer's capacity are divided.

    ``holdout_ratio`` of the subjects (by a hash of the subject, so that all its samples are in it or none) never train;
    ``uniform_ratio`` of the other samples (by a hash of the id) are drawn without regard to importance; of the rest,
    ``segments`` with a share of their own are strata, and what is left is divided by label. ``shares`` are parts of the
    capacity, in the order of `STRATA`; with those of the segments they add up to 1.
    """

    salt: str
    holdout_ratio: float = 0.1
    uniform_ratio: float = 0.2
    shares: tuple[float, float, float, float] = (0.2, 0.2, 0.3, 0.3)
    segments: Segments | None = None

    def __post_init__(self) -> None:
        """Refuse ratios and shares that divide nothing."""
        check_salt(self.salt)
        for name in ("holdout_ratio", "uniform_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        shares = list(self._shares().values())
        if not all(share >= 0 for share in shares) or not isclose(sum(shares), 1, abs_tol=1e-9):
            raise InvalidInput(f"the shares of the strata are {shares}; they must be at least 0 and add up to 1")

    @property
    def names(self) -> tuple[str, ...]:
        """Return all strata."""
        return tuple(self._shares())

    def _shares(self) -> dict[str, float]:
        """Return the part of the capacity that each stratum has."""
        return dict(zip(STRATA, self.shares, strict=True)) | (self.segments.reserved if self.segments else {})

    def capacities(self, total: int) -> dict[str, int]:
        """Return the capacity of each stratum; they add up to ``total``, which the largest remainders make exact.

        A segment's are a guaranteed minimum of the rows, as far as the stream has them: no other stratum takes its
        capacity.

        >>> StrataPolicy(salt="s").capacities(10_003)
        {'holdout': 2001, 'uniform': 2000, 'positive': 3001, 'negative': 3001}
        """
        if total < len(self.names):
            raise InvalidInput(
                f"buffer capacity is {total}; it must be at least {len(self.names)}, one a stratum: "
                "set WEIR_BUFFER_CAPACITY"
            )
        wanted = {name: total * share for name, share in self._shares().items()}
        capacities = {name: floor(value) for name, value in wanted.items()}
        by_remainder = sorted(wanted, key=lambda name: capacities[name] - wanted[name])
        for name in by_remainder[: total - sum(capacities.values())]:
            capacities[name] += 1
        if none := [name for name in self.names[len(STRATA) :] if not capacities[name]]:
            raise InvalidInput(f"{none[0]} gets no capacity of {total}: raise its share, or WEIR_BUFFER_CAPACITY")
        return capacities


def subject_capacities(capacities: Mapping[str, int], share: float) -> dict[str, int]:
    """Return the maximum of rows of each stratum that one subject may hold: ``share`` of its capacity, at least one.

    >>> subject_capacities({"holdout": 2_000, "uniform": 10}, share=0.03)
    {'holdout': 60, 'uniform': 1}
    """
    if not 0 < share <= 1:
        raise InvalidInput(f"a subject's share is {share}; it must be above 0 and at most 1: set WEIR_SUBJECT_SHARE")
    return {name: max(1, ceil(round(capacity * share, 6))) for name, capacity in capacities.items()}


def assign(
    ids: Sequence[str],
    subjects: Sequence[str],
    labels: Sequence[int],
    policy: StrataPolicy,
    attributes: Sequence[Mapping[str, Scalar]] | None = None,
) -> list[str]:
    """Return the stratum of each sample; see `stratum`. Only ``segments`` ask for ``attributes``."""
    each = list(dict.fromkeys(subjects))  # a subject has many samples; its hash is taken once
    held_out = dict(zip(each, (uniforms(each, policy.salt, "holdout") < policy.holdout_ratio).tolist(), strict=True))
    unweighted = uniforms(ids, policy.salt, "uniform") < policy.uniform_ratio
    by_label = [POSITIVE if label else NEGATIVE for label in labels]
    if policy.segments is not None and attributes is not None:
        segments, reserved = policy.segments, policy.segments.reserved
        own = [segments.of(each) for each in attributes]
        by_label = [name if name in reserved else other for name, other in zip(own, by_label, strict=True)]
    return [
        HOLDOUT if held_out[subject] else UNIFORM if is_unweighted else own
        for subject, is_unweighted, own in zip(subjects, unweighted.tolist(), by_label, strict=True)
    ]


def stratum(sample_id: str, subject: str, label: int, policy: StrataPolicy) -> str:
    """Return the stratum of one sample without attributes, by id, subject and the label at the window's close.

    >>> stratum("impression-8", "someone else", 1, StrataPolicy(salt="s"))
    'positive'
    """
    return assign((sample_id,), (subject,), (label,), policy)[0]
