"""Rank correlation of estimators: Spearman's, of their scores on the same candidates, by one trained model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.examples import Fold
from experiments.learner import STATE_NEEDS
from experiments.results import replace_file
from experiments.stage import Stage, state_rows, train_on_all
from importance import estimators
from importance.arrays import Floats

ALIKE = 0.999
CANDIDATES = 4_096


@dataclass(frozen=True, eq=False, slots=True)
class Ranks:
    """The correlation [E, E] of each pair of E ``names``."""

    names: tuple[str, ...]
    correlation: Floats

    def alike(self) -> list[tuple[str, ...]]:
        """Return groups of estimators that rank alike; − before a name: it ranks in the opposite order."""
        groups: list[tuple[str, ...]] = []
        for row, name in enumerate(self.names):
            if any({name, f"−{name}"} & set(group) for group in groups):
                continue
            near = np.flatnonzero(np.abs(self.correlation[row]) > ALIKE)
            others = ("−" * bool(self.correlation[row, index] < 0) + self.names[index] for index in near)
            groups.append(tuple(dict.fromkeys((name, *others))))
        return groups

    def save(self, file: Path) -> None:
        """Write as JSON; create the directory where it is missing."""
        kept = {"names": self.names, "correlation": self.correlation.round(4).tolist()}
        replace_file(file, json.dumps(kept).encode())

    @classmethod
    def load(cls, file: Path) -> "Ranks":
        """Read what `save` wrote."""
        kept = json.loads(file.read_text())
        return cls(tuple(kept["names"]), np.asarray(kept["correlation"]))


def measure(stage: Stage, names: Sequence[str], seed: int = 0) -> Ranks:
    """Train one epoch on the pool, then score the same candidates by every estimator; leave out constant ones."""
    random, learner = np.random.default_rng(seed), stage.start.clone()
    pool, holdout = stage.examples.rows(Fold.POOL), state_rows(stage.examples)
    train_on_all(learner, pool, stage.labels, 1, random)
    rows = random.permutation(pool)[:CANDIDATES]
    learner.update_state(holdout, stage.labels[holdout], STATE_NEEDS)
    scores = learner.score(rows, stage.labels[rows], tuple(map(estimators.get, names)))
    varying = tuple(name for name in names if np.ptp(scores[name]) > 0)
    return Ranks(varying, np.corrcoef([_ranks(scores[name]) for name in varying]))


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values have their mean rank."""
    _, index, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(count) - (count - 1) / 2)[index]
    return ranks
