"""Hold what a service left against what the pure functions say: bit for bit, and no more and no less."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from importance.quality import BINS, Counts, bin_of
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.quality import Quality
from stream import dead_letters
from stream.publishing import Importance
from tests.support.lookout import Lookout
from tests.support.oracle import Oracle
from tests.support.service import Service
from weir.settings import values

READ_AGAIN = 40  # commits that are read again from; each takes the rest of a partition
ZOMBIE_SECONDS = 15  # after which one that was stopped has learnt that it lost its partitions


def assert_as_told(service: Service, oracle: Oracle) -> int:
    """Buffer, quality counts, published scores and dead letters; returns the number of samples."""
    assert_buffer(service, oracle)
    published = published_scores(service)
    assert_counts(service, oracle, published)
    assert {record.sample: record.label for record in published} == oracle.labels
    letters = dead_letters.read(service.connection, service.topics.dead)
    assert sorted((x.partition, x.offset, x.reason) for x in letters) == sorted(oracle.dead)
    return len(oracle.samples)


def assert_buffer(service: Service, oracle: Oracle) -> None:
    """After a final trim: samples, keys, thresholds, labels, strata, probabilities."""
    settings = service.settings
    Buffer(
        service.engine, values.capacities(settings), service.topic_id, scoring_configs=values.scoring_configs(settings),
        subject_capacities=values.subject_capacities(settings),
    ).trim()  # fmt: skip
    expected = oracle.buffer()
    reader = BufferReader(service.engine)
    stats = reader.stats()
    kept = Counter(row.stratum for row in expected.rows())
    kappas = {name: threshold.kappa for name, threshold in expected.thresholds().by_stratum.items()}
    assert {each.name: (each.items, each.threshold) for each in stats.strata} == {
        name: (kept[name], kappa) for name, kappa in kappas.items()
    }
    for row in expected.rows():
        found = reader.explain(row.sample.id)
        assert (found.sample, found.label, found.stratum, found.key, found.log_weight, found.probability) == (
            row.sample, row.label, row.stratum, row.key, row.log_weight, row.probability,
        )  # fmt: skip


class Published(NamedTuple):
    """A record of the topic ``importance``: where it lies, what it says, and when it was made, in epoch seconds."""

    partition: int
    sample: str
    label: int
    prediction: float
    at: float


def published_scores(service: Service) -> list[Published]:
    """All of them in the order of each partition, repeats too."""
    decode = msgspec.json.Decoder(Importance).decode
    return [
        Published(partition, told.sample, told.label, told.prediction or 0.0, time_ms / 1000)
        for partition, rows in service.read(service.topics.importance).items()
        for _, time_ms, value in rows
        for told in (decode(value or b""),)
    ]


def assert_counts(service: Service, oracle: Oracle, published: Sequence[Published]) -> None:
    """Label totals are exact by week; a prediction lies within one bin of one that was published for its sample."""
    totals: Counter[tuple[str, int]] = Counter()
    bins: Counts = np.zeros((2, BINS), np.int64)
    for series, counts in Quality(service.engine).weeks().items():
        if (series.predictor, series.slice) == ("serving", "all"):
            totals.update({(series.span, label): int(counts[label].sum()) for label in (0, 1)})
            bins += counts
    assert +totals == oracle.labels_by_week
    assert sum(position.samples for position in service.positions()) == len(oracle.samples)
    seen: dict[str, list[int]] = defaultdict(list)
    for record, bin_ in zip(published, bin_of(np.array([x.prediction for x in published])).tolist(), strict=True):
        seen[record.sample].append(bin_)
    for label in (0, 1):
        closed_bins = [seen[sample] for sample, closed in oracle.labels.items() if closed == label]
        stored = np.repeat(np.arange(BINS), bins[label])
        # Sorted, each stored bin lies between the bounds of its rank, if every sample's lies between its own.
        assert np.all(np.sort([min(each) - 1 for each in closed_bins]) <= stored)
        assert np.all(stored <= np.sort([max(each) + 1 for each in closed_bins]))


def assert_commits(oracle: Oracle, lookout: Lookout) -> int:
    """No commit was ahead of what was durable, and whoever read again from one came to the same; how many were seen."""
    commits = lookout.commits()
    for _, committed, progress in commits:
        assert progress is not None
        assert committed <= progress.acknowledged <= progress.next
    assert not lookout.went_back()
    for partition, committed, progress in commits[:: len(commits) // READ_AGAIN + 1]:
        assert progress is not None
        expected = [x for x in oracle.decisions[partition].samples if x.offset >= progress.next]
        assert oracle.read_again(partition, committed, progress).samples == expected
    assert any(map(oracle.would_lose_from_next, oracle.content))  # the traffic is hard enough to show a wrong commit
    return len(commits)


class Stop(NamedTuple):
    """When a worker was stopped and when it went on, in seconds since the epoch."""

    began: float
    ended: float


def scored_again(
    oracle: Oracle, published: Sequence[Published], lookout: Lookout, stops: Sequence[Stop]
) -> Counter[str]:
    """How often a score was made although its sample was stored: by a ``zombie``, or else ``again``, which must not be.

    A worker that was stopped and goes on cannot know yet that another one has stored what it is about to score; what
    it then publishes is a repeat, and what it tries to store is refused.
    """
    positions = oracle.positions
    found: Counter[str] = Counter()
    for record in published:
        stored = lookout.remembered(*positions[record.sample])
        if record.at > stored:
            excused = any(x.began <= stored and x.ended <= record.at <= x.ended + ZOMBIE_SECONDS for x in stops)
            found["zombie" if excused else "again"] += 1
    return found
