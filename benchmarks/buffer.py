"""How fast the buffer is: offers rejected, rows stored in Postgres, and how rarely either is needed.

CPU time is that of this process, the client; contestants are interleaved.

    python benchmarks/buffer.py --rounds 15 --offers 10000000
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from math import log
from pathlib import Path
from uuid import uuid4

sys.path.insert(0, str(Path(__file__).parents[1]))  # else a neighbour's name may hide a package of ours

import numpy as np
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from benchmarks._report import conditions, spread, table
from benchmarks._servers import postgres
from importance.flush import Flush
from importance.partition_progress import Progress
from importance.reservoir import AdmissionPolicy, Reservoir, admit, draw, logarithms
from importance.sample import Outcome, Sample, labels
from importance.scores import Offer, Scores
from importance.strata import STRATA, StrataPolicy, assign
from importance.thresholds import AdmissionThresholds, Threshold
from storage import tables
from storage.buffer import Buffer
from storage.engine import create_engine
from storage.progress import Progresses
from weir.process.garbage_collection import calm_garbage_collection

BATCH = 4_000  # what a worker decides at once
SHOWN_TOGETHER = 9  # impressions of a subject that follow each other, as in the simulated shop
FIRST_MS = 1_300_000_000_000
OFFERED = 50 * BATCH
EVERYTHING = 10**9  # capacity for all
POLICY = AdmissionPolicy(StrataPolicy("benchmark"), "benchmark", half_life_seconds=14 * 86_400.0, landmark_ms=FIRST_MS)
ONE_STRATUM = AdmissionPolicy(
    StrataPolicy("benchmark", 0.0, 0.0, (0.0, 0.0, 0.0, 1.0)), "benchmark", positive_from=Outcome.PURCHASE
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="how often each contestant runs (default 7)")
    parser.add_argument("--offers", type=int, default=1_000_000, help="offers of the count (default 1000000)")
    parser.add_argument("--capacity", type=int, default=10_000, help="capacity of the count (default 10000)")
    parser.add_argument("--rows", type=int, default=20_000, help="rows stored in a round (default 20000)")
    options = parser.parse_args(arguments)
    if not (options.rounds >= 1 and options.rows >= 1 and options.offers >= options.capacity >= len(STRATA)):
        parser.error(f"--rounds and --rows must be at least 1, --capacity at least {len(STRATA)} and at most --offers")
    calm_garbage_collection()
    print(conditions("numpy", "sqlalchemy", "psycopg"), end="\n\n")
    print(rejected(options.rounds), stored(options.rounds, options.rows), sep="\n")
    print(counted(options.offers, options.capacity))


def samples(first: int, count: int) -> list[Sample]:
    """Impressions like those of the simulated shop, numbered from ``first`` on."""
    return [
        Sample(
            f"simulation-0-{number // SHOWN_TOGETHER}-{number % SHOWN_TOGETHER}", f"c{number // SHOWN_TOGETHER}",
            "recommendation", "FLORAL SILVER WREATH, RED FELT PAPER WEIGHT", f"simulation-{number % 600}",
            "FLORAL FELT BALLOONS", FIRST_MS + number, 0, number, number % 3 // 2, None, 3, 0.005, None,
            {"price": 0.89, "popularity": 0.4376, "country": "United Kingdom"},
        )
        for number in range(first, first + count)
    ]  # fmt: skip


def batches(count: int) -> Iterator[tuple[list[Sample], Scores]]:
    """Return a number of samples in batches, with scores that differ."""
    for start in range(0, count, BATCH):
        batch = samples(start, min(BATCH, count - start))
        drawn = np.random.default_rng(start).lognormal(size=len(batch))
        yield batch, Scores(drawn, "loss", "v1", mean_importance=1.6)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    before = time.process_time()
    work()
    return time.process_time() - before


def strata_of(batch: Sequence[Sample]) -> list[str]:
    """Return the stratum of each sample."""
    ids, subjects = [sample.id for sample in batch], [sample.subject for sample in batch]
    return assign(ids, subjects, labels(batch), POLICY.strata)


def rejected(rounds: int) -> str:
    """Offers below the admission threshold, nearly all of them."""
    thresholds = AdmissionThresholds(dict.fromkeys(STRATA, Threshold(log(10_000))))
    offered = [(batch, strata_of(batch), scores) for batch, scores in batches(OFFERED)]
    weights = [draw(*each, POLICY).log_weight for each in offered]
    given = [(weight, np.random.default_rng(n).uniform(size=len(weight))) for n, weight in enumerate(weights)]
    kappa = log(10_000)

    def on_given_u() -> int:
        return sum(int((log_weight - logarithms(u) > kappa).sum()) for log_weight, u in given)

    def by_hash() -> int:
        return sum(int(draw(*each, POLICY).kept(thresholds).sum()) for each in offered)

    def with_strata() -> int:
        return sum(
            int(draw(batch, strata_of(batch), scores, POLICY).kept(thresholds).sum()) for batch, _, scores in offered
        )

    def with_offers() -> int:
        return sum(
            sum(offer.kept for offer in admit(batch, scores, POLICY, thresholds)) for batch, _, scores in offered
        )

    def into_a_ring() -> int:
        from cpprb import PrioritizedReplayBuffer  # has no wheel for every machine

        ring = PrioritizedReplayBuffer(10_000, {"offer": {"dtype": np.int64}})
        for number, weight in enumerate(weights):
            ring.add(offer=np.arange(number * BATCH, number * BATCH + len(weight)), priorities=np.exp(weight))
        return int(ring.get_stored_size())

    ways = {
        "key from a given u": on_given_u,
        "key by the keyed hash of the id": by_hash,
        "stratum too, by a hash of the subject and another of the id": with_strata,
        "all that `admit` does: an offer of each, for the topic": with_offers,
    }
    if find_spec("cpprb") is not None:
        ways["cpprb for comparison: numbers only, in memory, all kept and the oldest forgotten"] = into_a_ring
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            rates[name].append(OFFERED / seconds(way) / 1e6)
    rows = [(name, spread(found)) for name, found in rates.items()]
    title = f"Offers at the thresholds, {1 - by_hash() / OFFERED:.2%} of them rejected"
    return table(title, ("", "million/CPU-s"), rows)


def stored(rounds: int, rows: int) -> str:
    """New rows into Postgres, by the buffer and by what one would write first."""
    offers = [
        offer
        for batch, scores in batches(rounds * rows)
        for offer in admit(batch, scores, POLICY, AdmissionThresholds())
    ]
    staged: list[float] = []
    upserts: list[float] = []
    with postgres() as servers:
        ours, theirs = create_engine(servers.database()), create_engine(servers.database())
        topic = uuid4()
        epoch = Progresses(ours, topic).claim(0, 1).epoch
        buffer = Buffer(ours, dict.fromkeys(STRATA, EVERYTHING), topic)
        buffer.thresholds()
        for start in range(0, rounds * rows, rows):
            some = offers[start : start + rows]
            staged.append(rows / seconds(partial(persist, buffer, epoch, start, some)) / 1e3)
            upserts.append(rows / seconds(partial(upsert, theirs, some)) / 1e3)
        ours.dispose()
        theirs.dispose()
    ratios = [one / other for one, other in zip(staged, upserts, strict=True)]
    return table(
        f"Rows stored, {rows:,} a round in batches of {BATCH:,}",
        ("", "thousand/CPU-s", "ratio"),
        [
            ("staged COPY, then upsert; progress and trim included", spread(staged), spread(ratios)),
            ("SQLAlchemy Core, upsert by executemany", spread(upserts), "1"),
        ],
    )


def persist(buffer: Buffer, epoch: int, first: int, offers: Sequence[Offer]) -> None:
    """Store offers as a worker does."""
    for start in range(0, len(offers), BATCH):
        some = offers[start : start + BATCH]
        old, new = first + start, first + start + len(some)
        buffer.persist(Flush(0, epoch, old, Progress(new, FIRST_MS + new, 0, 0), some, samples=len(some)))


def upsert(engine: sa.Engine, offers: Sequence[Offer]) -> None:
    """Store the same rows by a simple upsert."""
    keys, payload = insert(tables.keys).on_conflict_do_nothing(), insert(tables.samples).on_conflict_do_nothing()
    for start in range(0, len(offers), BATCH):
        some = offers[start : start + BATCH]
        key_rows = [
            {"id": each.sample.id, "stratum": each.stratum, "key": each.key, "log_weight": each.log_weight}
            for each in some
        ]
        payload_rows = [
            {
                "id": each.sample.id, "actions": each.sample.actions, "label": each.label, "rating_time_ms": None,
                "rating_id": None, "rating_value": None, "importance": each.importance, "estimator": each.estimator,
                "model": each.model, "prediction": each.prediction, "sample": each.sample,
            }
            for each in some
        ]  # fmt: skip
        with engine.begin() as connection:
            connection.execute(keys, key_rows)
            connection.execute(payload, payload_rows)


def counted(offers: int, capacity: int) -> str:
    """Count how many of N offers are ever inserted, by N: about k(1 + ln(N/k)), as a trim follows each batch."""
    reservoir = Reservoir(ONE_STRATUM.strata.capacities(capacity))
    rows: list[tuple[str, ...]] = []
    seen = inserts = offered = 0
    wanted = [capacity * 10**power for power in range(10) if capacity * 10**power < offers] + [offers]
    for batch, _ in batches(offers):
        seen += len(batch)
        reservoir.offer(admit(batch, Scores.uniform(len(batch)), ONE_STRATUM, reservoir.thresholds()))
        reservoir.trim()
        if seen >= wanted[0]:
            wanted.pop(0)
            expected = capacity * (1 + log(max(seen / capacity, 1)))
            each, ratio = (reservoir.inserts - inserts) / (seen - offered), reservoir.inserts / expected
            row = (reservoir.inserts, expected)
            rows.append((f"{seen:,}", *(f"{value:,.0f}" for value in row), f"{ratio:.3f}", f"{each:.4f}"))
            inserts, offered = reservoir.inserts, seen
    columns = ("offers N", "inserts", "k(1 + ln(N/k))", "ratio", "inserts by offer since the row above")
    return table(f"Inserts into a capacity of {capacity:,}", columns, rows)


if __name__ == "__main__":
    main()
