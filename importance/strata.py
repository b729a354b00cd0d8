"""Which part of the buffer a sample competes in: holdout, uniform, positive or negative.

The parts are exclusive and asked in that order. Knows nothing of scores or keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isclose

import numpy as np
from numpy.typing import NDArray

from importance.errors import InvalidInput
from importance.hashing import check_salt, uniforms

HOLDOUT, UNIFORM, POSITIVE, NEGATIVE = "holdout", "uniform", "positive", "negative"
STRATA = (HOLDOUT, UNIFORM, POSITIVE, NEGATIVE)


@dataclass(frozen=True, slots=True)
class StrataPolicy:
    """How the stream is divided, and how the buffer's places are.

    ``holdout_ratio`` of the subjects (by a hash of the subject, so that a person is in it or not) never train;
    ``uniform_ratio`` of the other samples (by a hash of the id) are drawn without regard to importance; the rest is
    divided by label. ``shares`` are parts of the capacity, in the order of `STRATA`.
    """

    salt: str
    holdout_ratio: float = 0.1
    uniform_ratio: float = 0.2
    shares: tuple[float, float, float, float] = (0.2, 0.2, 0.3, 0.3)

    def __post_init__(self) -> None:
        """Refuse ratios and shares that divide nothing."""
        check_salt(self.salt)
        for name in ("holdout_ratio", "uniform_ratio"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidInput(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        if not all(share >= 0 for share in self.shares) or not isclose(sum(self.shares), 1, abs_tol=1e-9):
            raise InvalidInput(f"the shares of the strata are {self.shares}; they must be at least 0 and add up to 1")

    def capacities(self, total: int) -> dict[str, int]:
        """Places of each stratum; they add up to ``total``, which the largest remainders make exact.

        >>> StrataPolicy(salt="s").capacities(10_003)
        {'holdout': 2001, 'uniform': 2000, 'positive': 3001, 'negative': 3001}
        """
        if total < len(STRATA):
            raise InvalidInput(
                f"buffer capacity is {total}; it must be at least {len(STRATA)}, a place a stratum: "
                "set WEIR_BUFFER_CAPACITY"
            )
        wanted = {name: total * share for name, share in zip(STRATA, self.shares, strict=True)}
        places = {name: floor(value) for name, value in wanted.items()}
        by_remainder = sorted(STRATA, key=lambda name: places[name] - wanted[name])
        for name in by_remainder[: total - sum(places.values())]:
            places[name] += 1
        return places


def places(
    ids: Sequence[str], subjects: Sequence[str], labels: Sequence[int], policy: StrataPolicy
) -> NDArray[np.intp]:
    """The stratum of each sample as its place in `STRATA` [n]; see `stratum`."""
    each = list(dict.fromkeys(subjects))  # a subject has many samples; its hash is taken once
    held_out = dict(zip(each, uniforms(each, policy.salt, "holdout") < policy.holdout_ratio, strict=True))
    held = np.fromiter(map(held_out.__getitem__, subjects), np.bool_, len(subjects))
    plain = uniforms(ids, policy.salt, "uniform") < policy.uniform_ratio
    by_label = np.where(labels, STRATA.index(POSITIVE), STRATA.index(NEGATIVE))
    return np.where(held, STRATA.index(HOLDOUT), np.where(plain, STRATA.index(UNIFORM), by_label))


def assign(ids: Sequence[str], subjects: Sequence[str], labels: Sequence[int], policy: StrataPolicy) -> list[str]:
    """The stratum of each sample; see `stratum`."""
    return [STRATA[place] for place in places(ids, subjects, labels, policy).tolist()]


def stratum(sample_id: str, subject: str, label: int, policy: StrataPolicy) -> str:
    """The stratum of one sample, a function of id, subject and the label at the window's close.

    >>> stratum("impression-8", "someone else", 1, StrataPolicy(salt="s"))
    'positive'
    """
    return assign((sample_id,), (subject,), (label,), policy)[0]
