"""How fast the worker reads: its transport and its whole path, against raw aiokafka and stock Faust.

On a real Kafka and a real Postgres of its own. Each contestant runs in a process of its own, and what counts is the
CPU time of that process after its warm-up: other work on the machine makes a run longer, but not a contestant worse
than the others, since they are interleaved.

    python benchmarks/stream.py --rounds 9 --events 2000000
"""

import argparse
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))  # else `stream` would be this file

from benchmarks._contestants import run
from benchmarks._meter import Measured, Task
from benchmarks._report import conditions, significant, spread, table
from benchmarks._servers import Servers, kafka_and_postgres
from benchmarks._traffic import fill, records
from stream import topics
from stream.topics import Topics

PARTITIONS = 4
# A worker reads ahead: what it has fetched but not decided must not run out before the count does.
READ_AHEAD = 100_000
SNAPSHOTS = 8


@dataclass(frozen=True)
class Contestant:
    """A way to read, how it is shown, and how many events it warms up with and is measured on."""

    name: str
    shown: str
    warm_up: int
    events: int


RAW = Contestant("raw", "raw aiokafka `getmany`, decoded", 50_000, 200_000)
STOCK = Contestant("stock", "stock Faust `take(500)`, bytes", 5_000, 30_000)
STOCK_JSON = Contestant("stock, JSON", "stock Faust `take(500)`, decoded by Faust", 5_000, 30_000)
TRANSPORT = Contestant("transport", "chunk transport, decoded", 50_000, 200_000)
WHOLE = Contestant("whole", "whole path", 50_000, 200_000)
STEPS = Contestant("step by step", "", 50_000, 200_000)
RACE = (RAW, STOCK, STOCK_JSON, TRANSPORT, WHOLE)


@dataclass(frozen=True)
class Field:
    """Where they run: a topic full of events."""

    servers: Servers
    topics: Topics

    def run(self, contestant: Contestant, events: int | None = None) -> Measured:
        """Run one contestant; with ``events`` so many, without a warm-up, and recording its memory."""
        task = Task(
            contestant.name,
            self.servers.kafka,
            self.topics,
            secrets.token_hex(8),
            warm_up=0 if events else contestant.warm_up,
            events=events or contestant.events,
            database_url=self.servers.database() if contestant in (WHOLE, STEPS) else "",
            snapshot_every=events // SNAPSHOTS if events else 0,
        )
        return run(task)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each contestant runs (default 5)")
    parser.add_argument(
        "--events", type=int, default=400_000, help="events over which memory is watched (default 400000)"
    )
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.events < SNAPSHOTS:
        parser.error(f"--rounds must be at least 1, and --events at least {SNAPSHOTS}")
    print(conditions("aiokafka", "faust-streaming", "msgspec", "psycopg", "sqlalchemy"), end="\n\n")
    with kafka_and_postgres() as servers:
        names = Topics()
        topics.provision(servers.kafka, topics.planned(names, PARTITIONS, 1))
        enough = max(WHOLE.warm_up + WHOLE.events, options.events) + READ_AHEAD
        fill(servers.kafka, names.interactions, PARTITIONS, records(enough))
        field = Field(servers, names)
        rounds = [{contestant: field.run(contestant) for contestant in RACE} for _ in range(options.rounds)]
        print(race(rounds), steps(field.run(STEPS), rounds), sep="\n")
        print(memory(field.run(WHOLE, options.events)))


def race(rounds: Sequence[dict[Contestant, Measured]]) -> str:
    """Tabulate the speed of each contestant; ratios are taken within a round."""

    def row(contestant: Contestant) -> tuple[str, ...]:
        rates = [measured[contestant].rate for measured in rounds]
        ratios = [
            spread([measured[contestant].rate / measured[other].rate for measured in rounds])
            for other in (STOCK, STOCK_JSON, RAW)
        ]
        return contestant.shown, spread(rates), *ratios

    title = f"Events per CPU-second: median (least–most) of {len(rounds)} rounds"
    return table(title, ("", "events/CPU-s", "× Faust, bytes", "× Faust, decoded", "× raw"), map(row, RACE))


def steps(walked: Measured, rounds: Sequence[dict[Contestant, Measured]]) -> str:
    """Tabulate the time of each step."""
    took = {name: walked.microseconds(seconds) for name, seconds in walked.steps.items()}
    took["join"] = took.pop("decode and join") - took["decode"]
    all_of_it = median(measured[WHOLE].microseconds(measured[WHOLE].cpu_seconds) for measured in rounds)
    order = ("fetch", "decode", "join", "score", "admit", "count predictions", "publish", "persist", "report")
    shown = [(name, took[name]) for name in order]
    shown.append(("rest: threads, Faust, what steps leave to clear away", all_of_it - sum(took.values())))
    rows = [(name, significant(each), f"{each / all_of_it:.0%}") for name, each in shown]
    rows.append(("whole path", significant(all_of_it), "100%"))
    return table("Where the time of the whole path goes", ("step", "µs/event", "share"), rows)


def memory(measured: Measured) -> str:
    """Tabulate memory by events read."""
    first = measured.snapshots[0].memory_megabytes
    rows = [
        (f"{snapshot.events:,}", significant(snapshot.memory_megabytes), f"{snapshot.memory_megabytes - first:+.1f}")
        for snapshot in measured.snapshots
    ]
    return table("Memory of the whole path", ("events", "resident MB", "since the first"), rows)


if __name__ == "__main__":
    main()
