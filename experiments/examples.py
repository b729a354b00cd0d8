"""Labelled text pairs for training and evaluation, as columns; independent of files and vectors."""

import json
from dataclasses import dataclass, replace
from enum import IntEnum
from hashlib import blake2b

import numpy as np

from importance.arrays import Floats, Integers
from importance.errors import InvalidInput

ENOUGH = 0.9
"""Share of the pool's bound at which it is full enough: filling it up would favour small groups."""


class Fold(IntEnum):
    """The use of an example.

    ``HISTORY`` trains a model before a stream starts, ``POOL`` may be selected from, ``HOLDOUT`` is read by estimators
    with state, such as `rho`, ``TEST`` evaluates and never trains, ``UNUSED`` is left out.
    """

    HISTORY = 0
    POOL = 1
    HOLDOUT = 2
    TEST = 3
    UNUSED = 4


@dataclass(frozen=True, eq=False, slots=True)
class Examples:
    """n examples, in order of time where ``is_stream``.

    ``queries``: the texts of each example's context, none for text classification; their vectors are averaged.
    ``labels`` [n] in {0, 1}; ``relevance`` [n], graded, for NDCG; ``slates`` [n], which were ranked together;
    ``groups`` [n], the query or subject (examples of one are not independent); ``folds`` [n] of `Fold`.
    A stream is evaluated on its pool, on each example before training on it; ``times_ms`` [n] are its event times,
    where they are known.
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
    times_ms: Integers | None = None

    def __post_init__(self) -> None:
        """Refuse columns that cannot be trained or evaluated on."""
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
        """Return the fold that metrics are computed on."""
        return Fold.POOL if self.is_stream else Fold.TEST

    def digest(self) -> str:
        """Return a hash of all columns, 16 hex digits: it differs for two files of one name, or two pools of a file."""
        found = blake2b(json.dumps([self.texts, self.queries]).encode(), digest_size=8)
        for column in (self.labels, self.relevance, self.slates, self.groups, self.folds):
            found.update(column.tobytes())
        return found.hexdigest()

    def rows(self, fold: Fold) -> Integers:
        """Return the row numbers of a fold, in order."""
        return np.flatnonzero(self.folds == fold)

    def at_most(self, pool: int | None) -> "Examples":
        """Return a copy with at most so many rows in the pool; the rest is `Fold.UNUSED`.

        Whole groups are taken in a fixed random order. A group that does not fit is skipped, until the pool has
        `ENOUGH` rows. Raises InvalidInput when no group fits.
        """
        rows = self.rows(Fold.POOL)
        if pool is None or len(rows) <= pool:
            return self
        names, index, sizes = np.unique(self.groups[rows], return_inverse=True, return_counts=True)
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
        folds[rows[~kept[index]]] = Fold.UNUSED
        return replace(self, folds=folds)
