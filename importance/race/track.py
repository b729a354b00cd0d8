"""The track: each batch of scored samples judges the heads of all policies, and then they learn from it.

State is in memory only, and bounded: K heads, and the samples of each partition that wait for a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from importance.arrays import Floats, Integers
from importance.hashing import uniforms
from importance.race.heads import Heads
from importance.race.policy import Policy
from importance.race.seen import Seen
from importance.race.standing import Standing

BUDGET: Final = 0.25
"""The share of the stream that a policy may learn from, on average."""

MEMORY: Final = 8_000
"""Samples that a version is taken to have learned from: what a buffer of the default capacity has for training."""

BATCH: Final = 250
"""Samples that are judged and learned from at once: one Newton step costs as much as scoring a few samples."""


@dataclass(frozen=True, eq=False, slots=True)
class Block:
    """n samples in the order of the stream: ``subjects`` [n] as numbers, ``labels`` [n], ``times_ms`` [n].

    ``draws`` [n] in (0, 1) decide what each policy learns from: a hash of the ids for this purpose alone. All
    are of one ``partition``.
    """

    subjects: Integers
    labels: Integers
    times_ms: Integers
    draws: Floats
    seen: Seen
    partition: int = 0


def race_draws(ids: Sequence[str], salt: str) -> Floats:
    """Return the draws of a block, independent of who is in the buffer."""
    return uniforms(ids, salt, "race")


class Track:
    """The heads of the policies over one model version at a time; a new version starts new heads.

    A policy learns from a sample with probability q = min(1, `BUDGET`·w), and then with loss weight `BUDGET` / q, so
    that all estimate the same loss. All use the same draw, which makes their difference one of policy alone.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = tuple(policies)
        self._half_lives = np.array([each.half_life_seconds or np.inf for each in policies])
        self._version: str | None = None
        self._heads: Heads | None = None
        self._waiting: dict[int, list[Block]] = {}  # by partition

    def restart(self, partition: int) -> None:
        """Forget the heads, and what waits of a partition: what comes next of it may have been learned from already."""
        self._heads = None
        self._waiting.pop(partition, None)

    def observe(self, block: Block) -> Standing:
        """Let a block wait until `BATCH` samples of its partition do; then judge the heads, and let them learn.

        Returns the results, one for each subject of each block; none while samples wait. They are of the block's own
        partition alone, so that they can be stored with its progress: each sample counts at most once, whoever reads
        the partition next. What waits at a new version is left out.
        """
        if self._version != block.seen.version:
            self._version, self._heads, self._waiting = block.seen.version, None, {}
        if self._heads is None:
            self._heads = Heads(block.seen.last_layer, self._half_lives, MEMORY * BUDGET)
        blocks = self._waiting.setdefault(block.partition, [])
        blocks.append(block)
        if sum(len(waiting.labels) for waiting in blocks) < BATCH:
            return Standing.nothing(len(self.policies))
        del self._waiting[block.partition]
        hidden = np.concatenate([each.seen.hidden for each in blocks]).astype(np.float64)
        labels = np.concatenate([each.labels for each in blocks]).astype(np.float64)
        found = Standing.of(_by_subject(_numbered(blocks), labels, self._heads.predict(hidden)))
        weights = np.concatenate([self._loss_weights(each) for each in blocks])
        self._heads.learn(hidden, labels, weights, max(float(each.times_ms.max(initial=0)) for each in blocks) / 1_000)
        return found

    def _loss_weights(self, block: Block) -> Floats:
        chance = np.minimum(1.0, BUDGET * block.seen.weights(self.policies))
        return np.where(block.draws[:, None] < chance, BUDGET / chance, 0.0)


def _numbered(blocks: Sequence[Block]) -> Integers:
    """Return the subjects of all blocks, with other numbers in each."""
    ends = np.cumsum([0, *(int(each.subjects.max(initial=0)) + 1 for each in blocks)])
    return np.concatenate([each.subjects + start for each, start in zip(blocks, ends[:-1], strict=True)])


def _by_subject(subjects: Integers, labels: Floats, predicted: Floats) -> Floats:
    """Return the mean Brier score [S, K] of each subject's samples, by predictions [n, K]."""
    _, subject, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    total = np.zeros((len(counts), predicted.shape[1]))
    np.add.at(total, subject, (predicted - labels[:, None]) ** 2)
    means: Floats = total / counts[:, None]
    return means
