"""What ``/v1/rank`` costs under load, next to a plain endpoint of FastAPI and transformers with the same weights.

Both run as processes of their own; 200 clients ask one for 50 items a time, then the other, in turns, so that both meet
the same noise. Three kinds of traffic, in this order: nothing repeats, items repeat, queries repeat with their items.

    python benchmarks/rank.py [--seconds 60] [--rounds 3] [--clients 200]
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # where `benchmarks` lies

import httpx
import numpy as np
import psutil

from benchmarks._rank_clients import TRAFFIC, Answers, ask
from benchmarks._report import conditions, significant, table
from benchmarks._servers import kafka_and_postgres
from benchmarks.api import api, cpu_seconds, prepared
from datasets import simulation
from importance.errors import Unavailable
from importance.sample import Sample
from weir.local.ports import LOOPBACK, free_port, until
from weir.local.process import Child

START_SECONDS = 120
WEIR, PLAIN = "Weir", "plain"


@dataclass
class Load:
    """The answers of one endpoint to one kind of traffic, the seconds it was asked, and its CPU seconds."""

    answers: Answers = field(default_factory=Answers)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def rankings(self) -> int:
        """Rankings answered."""
        return self.answers.statuses[200]


@dataclass(frozen=True)
class Plan:
    """How long each endpoint is asked for each kind of traffic, in how many turns, by how many clients."""

    seconds: float
    rounds: int
    clients: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all kinds of traffic and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=200)
    plan = Plan(**vars(parser.parse_args(arguments)))
    texts = sorted({line.text for line in simulation.lines(0, days=40)})
    samples = [Sample(str(n), "someone", "search", text, str(n), text, 0, 0, n) for n, text in enumerate(texts)]
    print(conditions("fastapi", "uvicorn", "torch", "transformers"), end=" ")
    print(f"{plan.clients} clients, {len(texts)} texts, {plan.seconds:g} s each in {plan.rounds} turns.", end="\n\n")
    loads: dict[tuple[str, str], Load] = {}
    with kafka_and_postgres() as servers, TemporaryDirectory(prefix="weir-benchmark-") as home:
        environment = prepared(servers, Path(home), samples)
        with (
            ProcessPoolExecutor(1, get_context("spawn")) as clients,
            plain(Path(home) / "model", Path(home)) as other,
            api(Path(home), environment) as weir,
        ):
            for traffic in TRAFFIC:
                measure(clients, traffic, {WEIR: weir, PLAIN: other}, texts, plan, loads)
    print(report(loads))


@contextmanager
def plain(model: Path, home: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Start the plain endpoint; yield its process and port once it has answered."""
    port = free_port()
    command = [sys.executable, str(Path(__file__).with_name("_plain_rank.py")), str(model), str(port)]
    child = Child("plain", command, home / "plain.log")
    child.start()
    body = {"query": "lamp", "surface": "search", "items": [{"item": "1", "text": "lamp"}]}

    def ready() -> bool:
        try:
            return httpx.post(f"http://{LOOPBACK}:{port}/v1/rank", json=body, timeout=5).is_success
        except httpx.TransportError:
            return False

    try:
        if not until(ready, lambda: not child.alive, START_SECONDS):
            raise Unavailable(child.exit_summary())
        yield psutil.Process(child.pid), port
    finally:
        child.stop()


def measure(
    clients: ProcessPoolExecutor,
    traffic: str,
    endpoints: dict[str, tuple[psutil.Process, int]],
    texts: Sequence[str],
    plan: Plan,
    loads: dict[tuple[str, str], Load],
) -> None:
    """Ask the endpoints in turns, and add what is found to ``loads``."""
    seconds = plan.seconds / plan.rounds
    for turn in range(plan.rounds):
        for name, (process, port) in endpoints.items():
            load = loads.setdefault((traffic, name), Load())
            before, started = cpu_seconds(process), time.monotonic()
            load.answers.add(clients.submit(ask, port, traffic, texts, plan.clients, seconds, turn).result())
            load.cpu_seconds += cpu_seconds(process) - before
            load.seconds += time.monotonic() - started


def report(loads: dict[tuple[str, str], Load]) -> str:
    """Tabulate throughput and latency of each endpoint by kind of traffic."""

    def row(traffic: str, name: str) -> tuple[str, ...]:
        load = loads[traffic, name]
        median, high = (np.quantile(load.answers.seconds, share) for share in (0.5, 0.99))
        others = {status: count for status, count in sorted(load.answers.statuses.items()) if status != 200}
        ratio = rate(load) / rate(loads[traffic, PLAIN])
        return (
            f"{traffic}, {name}",
            f"{load.rankings:,}",
            significant(load.rankings / load.seconds),
            significant(rate(load)),
            significant(ratio),
            f"{significant(median)} / {significant(high)}",
            ", ".join(f"{count} × {status}" for status, count in others.items()) or "none",
        )

    columns = ("", "rankings", "a second", "a CPU-second", "plain = 1", "p50 / p99, seconds", "other answers")
    return table("Rankings of 50 items", columns, (row(*key) for key in loads))


def rate(load: Load) -> float:
    """Rankings per CPU-second of the endpoint's process."""
    return load.rankings / load.cpu_seconds


if __name__ == "__main__":
    main()
