"""The race of policies in a worker: what each scored batch adds to the standing."""

from collections.abc import Mapping, Sequence
from threading import Lock

import numpy as np

from importance.race.standing import Standing
from importance.race.track import Block, Track, race_draws
from importance.sample import Sample, labels
from importance.scores import Scores
from weir.settings import Settings
from weir.settings.race import policies, race_name
from weir.settings.values import positive_from


class Racing:
    """One track for all partitions of a worker. Its heads are in memory only; their results are stored.

    They start again from the last layer at a new version, and at each assignment: samples that are read again must not
    be judged by heads that have learned from them.
    """

    def __init__(self, settings: Settings) -> None:
        competing = policies(settings)
        self._name = race_name(competing)
        self._track = Track(competing) if competing else None
        self._salt, self._positive_from = settings.salt, positive_from(settings)
        self._running = Lock()

    def restart(self, partition: int) -> None:
        """Forget the heads, and what waits of a partition that is assigned."""
        with self._running:
            if self._track is not None:
                self._track.restart(partition)

    def observe(self, samples: Sequence[Sample], scores: Scores) -> Mapping[str, Standing]:
        """Judge the heads by scored samples of one partition, then let them learn; return the results by race."""
        if self._track is None or scores.seen is None or not samples:
            return {}
        _, subjects = np.unique([sample.subject for sample in samples], return_inverse=True)
        block = Block(
            subjects=subjects.astype(np.int64),
            labels=np.array(labels(samples, self._positive_from), np.int64),
            times_ms=np.fromiter((sample.time_ms for sample in samples), np.int64, len(samples)),
            draws=race_draws([sample.id for sample in samples], self._salt),
            seen=scores.seen,
            partition=samples[0].partition,
        )
        with self._running:
            found = self._track.observe(block)
        return {self._name: found} if found.results else {}
