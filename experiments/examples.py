"""Labelled text pairs to learn from and to be judged on. Plain columns; knows nothing of files or vectors."""

import json
from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import blake2b

import numpy as np

from importance.arrays import Floats, Integers
from importance.errors import InvalidInput

ENOUGH = 0.9
"""Of the rows that a pool may have: from here on it is not filled up, which would favour small groups."""


class Fold(IntEnum):
    """What an example serves: ``HISTORY`` trains a model before a stream begins, ``POOL`` may be selected from,
    ``HOLDOUT`` is what estimators with a memory, such as `rho`, compare with, ``TEST`` judges and never trains,
    ``UNUSED`` is left out.
    """

    HISTORY = 0
    POOL = 1
    HOLDOUT = 2
    TEST = 3
    UNUSED = 4


@dataclass(frozen=True, eq=False, slots=True)
class Examples:
    """n examples, in order of time where ``is_stream``.

    ``queries``: the texts of each example's context, none for plain classification; their vectors are averaged.
    ``labels`` [n] in {0, 1}; ``relevance`` [n], graded, for NDCG; ``slates`` [n], what was ranked together;
    ``groups`` [n], the query or subject (examples of one are not independent); ``folds`` [n] of `Fold`.
    A stream is judged on its pool, each example before it is learned from.
    """

    name: str
    texts: tuple[str, ...]
    queries: tuple[tuple[str, ...], ...]
    labels: Integers
    relevance: Floats
    slates: Integers
    groups: Integers
    folds: Integers
    is_stream: bool = False

    def __post_init__(self) -> None:
        """Refuse columns that cannot be learned from and judged on."""
        columns = (self.queries, self.labels, self.relevance, self.slates, self.groups, self.folds)
        if {len(self.texts)} != set(map(len, columns)):
            raise InvalidInput(f"{self.name}: the columns of the examples differ in length")
        for fold in (Fold.POOL, self.judged):
            if len(set(self.labels[self.folds == fold].tolist())) < 2:
                raise InvalidInput(
                    f"{self.name}: the {int((self.folds == fold).sum())} rows of the fold {fold.name.lower()} have "
                    "fewer than two classes; both labels are needed there"
                )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def judged(self) -> Fold:
        """The fold that figures are of."""
        return Fold.POOL if self.is_stream else Fold.TEST

    def digest(self) -> str:
        """16 hex digits of all columns but the name: two files of one name, or two pools of one file, differ in it."""
        found = blake2b(json.dumps([self.texts, self.queries]).encode(), digest_size=8)
        for column in (self.labels, self.relevance, self.slates, self.groups, self.folds):
            found.update(column.tobytes())
        return found.hexdigest()

    def rows(self, fold: Fold) -> Integers:
        """The row numbers of a fold, in order."""
        return np.flatnonzero(self.folds == fold)

    def at_most(self, pool: int | None) -> "Examples":
        """The same with a pool of about that many: whole groups, in a fixed random order; the rest is `Fold.UNUSED`.

        A group that does not fit any more is left out, and the first one after `ENOUGH` is the last one. InvalidInput
        where none fits.
        """
        rows = self.rows(Fold.POOL)
        if pool is None or len(rows) <= pool:
            return self
        names, place, sizes = np.unique(self.groups[rows], return_inverse=True, return_counts=True)
        order = np.random.default_rng(0).permutation(len(names))
        kept, count = np.zeros(len(names), bool), 0
        for group in order:
            if count + sizes[group] <= pool:
                kept[group], count = True, count + sizes[group]
            elif count >= ENOUGH * pool:
                break
        if not count:
            raise InvalidInput(
                f"{self.name}: the smallest group has {sizes.min():,} rows, and the grid's pool is {pool:,}: raise the "
                "pool, or give smaller groups with --column group=COLUMN"
            )
        folds = self.folds.copy()
        folds[rows[~kept[place]]] = Fold.UNUSED
        return replace(self, folds=folds)
