"""Pseudonyms: keyed hashes that stand for subjects and samples where their names must not be kept.

Who has the salt can test whether a name is among them; without it they tell nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from importance.arrays import Integers
from importance.hashing import check_salt, hashes


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """64-bit hashes under one salt: of a million names two share one with a chance of 3 in 10⁸."""

    salt: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a salt that cannot be a key."""
        check_salt(self.salt)

    def of_subjects(self, subjects: Iterable[str]) -> Integers:
        """Return a number for each subject, the same in every process with this salt."""
        return hashes(subjects, self.salt, "subject")

    def of_subject(self, subject: str) -> int:
        """Return the number of one subject."""
        return int(self.of_subjects((subject,))[0])

    def of_samples(self, ids: Iterable[str]) -> Integers:
        """Return a number for each sample's id."""
        return hashes(ids, self.salt, "sample")

    @property
    def fingerprint(self) -> int:
        """Return a number that belongs to the salt: numbers of two salts must not be compared."""
        return int(hashes(("",), self.salt, "fingerprint")[0])


def shown(number: int) -> str:
    """Return a pseudonym as people see it: 16 hexadecimal digits.

    >>> shown(255), shown(-1)
    ('00000000000000ff', 'ffffffffffffffff')
    """
    return f"{number & 0xFFFF_FFFF_FFFF_FFFF:016x}"
