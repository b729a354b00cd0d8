"""What a worker keeps in memory of the rows that it wrote last, so that adding to them needs no reading."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from importance.flush import Flush

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Held(Generic[K, V]):
    """The rows that a flush wrote, valid in its epoch while `next` is where that flush put it.

    In a later epoch the same `next` may be another worker's: a COMMIT that failed leaves what never was.
    """

    epoch: int
    next: int
    rows: Mapping[K, V] = field(default_factory=dict)

    @classmethod
    def after(cls, flush: Flush, rows: Mapping[K, V]) -> "Held[K, V]":
        """Hold what ``flush`` wrote."""
        return cls(flush.epoch, flush.progress.next, rows)


def rows_before(flush: Flush, held: Held[K, V] | None) -> Mapping[K, V]:
    """Return the rows that are known to be stored before ``flush``; none where ``held`` is of another moment."""
    if held is None or (held.epoch, held.next) != (flush.epoch, flush.old_next):
        return {}
    return held.rows
