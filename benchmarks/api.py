"""What one hostile client costs the HTTP interface: CPU, memory, and whether others are still answered.

Four attacks, each on a real ``weir api`` of its own, with a real Postgres and Kafka and a model of the built-in size.
The client is a process of its own; meanwhile ``/healthz`` is asked 20 times a second.

    python benchmarks/api.py
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))  # where `benchmarks` lies

import httpx
import psutil

from benchmarks._attacks import ATTACKS, Answer, Attack
from benchmarks._report import conditions, significant, table
from benchmarks._servers import Servers, kafka_and_postgres
from importance.errors import Unavailable
from importance.sample import Sample
from storage.artifacts import Artifacts
from storage.engine import create_engine
from storage.registry import Registry
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, build
from weir.local.ports import LOOPBACK, free_port, until
from weir.local.process import Child
from weir.settings import Settings, variable

START_SECONDS = 120
SETTLE_SECONDS = 10  # until freed memory is returned to the system
PROBE_SECONDS = 0.05
_MEGABYTE = 1 << 20
LAMPS = [Sample(str(n), "someone", "search", "lamp", str(n), f"lamp number {n}", 0, 0, n) for n in range(100)]
ORDINARY = {"query": "lamp", "surface": "search", "items": [{"item": str(n), "text": "a lamp"} for n in range(20)]}


@dataclass(frozen=True)
class Outcome:
    """The result of an attack. Memory is resident; ``waited`` are the seconds of each answer of ``/healthz``."""

    answers: Sequence[Answer]
    cpu_seconds: float
    seconds: float
    memory_before: int
    memory_peak: int
    memory_after: int
    waited: Sequence[float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all attacks and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.parse_args(arguments)
    print(conditions("fastapi", "uvicorn", "pydantic", "msgspec"), end="\n\n")
    with kafka_and_postgres() as servers, TemporaryDirectory(prefix="weir-benchmark-") as home:
        environment = prepared(servers, Path(home))
        outcomes = {}
        for attack in ATTACKS:
            with api(Path(home), environment) as (process, port):
                outcomes[attack] = suffered(attack, process, port)
    print(costs(outcomes), memory(outcomes), sep="\n")


def prepared(servers: Servers, home: Path, samples: Sequence[Sample] = LAMPS) -> dict[str, str]:
    """The environment of an api over tables with an untrained model, which costs as much as a trained one."""
    settings = Settings(home=home, kafka_bootstrap=servers.kafka.bootstrap, database_url=servers.database())
    model = versions.save(build(samples, FirstTraining(), seed=0), home / "model")
    engine = create_engine(settings.database_url)
    registry = Registry(engine)
    version = registry.new_version()
    registry.register(version, *Artifacts(settings.artifacts_url).save(version, model))
    registry.promote(version, expected_sequence=None, actor="benchmark", reason="the only one")
    engine.dispose()
    return os.environ | {variable(name): "" if value is None else str(value) for name, value in settings}


@contextmanager
def api(home: Path, environment: dict[str, str]) -> Iterator[tuple[psutil.Process, int]]:
    """Start a process that has answered an ordinary request; yield it and its port."""
    port = free_port()
    command = [sys.executable, "-m", "weir", "api"]
    child = Child("api", command, home / "api.log", environment=environment | {"WEIR_API_PORT": str(port)})
    child.start()
    try:
        url = f"http://{LOOPBACK}:{port}"
        if not until(lambda: ready(url), lambda: not child.alive, START_SECONDS):
            raise Unavailable(child.exit_summary())
        for _ in range(50):
            httpx.post(f"{url}/v1/rank", json=ORDINARY, timeout=START_SECONDS).raise_for_status()
        yield psutil.Process(child.pid), port
    finally:
        child.stop()


def ready(url: str) -> bool:
    """Return whether the api is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5).is_success
    except httpx.TransportError:
        return False


def suffered(attack: Attack, process: psutil.Process, port: int) -> Outcome:
    """Run an attack and measure its effects."""
    before, cpu_before, started = process.memory_info().rss, cpu_seconds(process), time.monotonic()
    peak, waited = before, []
    with (
        ProcessPoolExecutor(1, get_context("spawn")) as client,
        httpx.Client(base_url=f"http://{LOOPBACK}:{port}", timeout=60) as prober,
    ):
        attacking = client.submit(attack.run, port)
        while not attacking.done():
            asked = time.monotonic()
            prober.get("/healthz").raise_for_status()
            waited.append(time.monotonic() - asked)
            peak = max(peak, process.memory_info().rss)
            time.sleep(PROBE_SECONDS)
        answers = attacking.result()
    took, cpu = time.monotonic() - started, cpu_seconds(process) - cpu_before
    time.sleep(SETTLE_SECONDS)
    return Outcome(answers, cpu, took, before, peak, process.memory_info().rss, waited)


def cpu_seconds(process: psutil.Process) -> float:
    """User and system, of all threads."""
    times = process.cpu_times()
    return times.user + times.system


def costs(outcomes: dict[Attack, Outcome]) -> str:
    """Tabulate the cost of each attack, and the delay of other clients."""

    def row(attack: Attack, found: Outcome) -> tuple[str, ...]:
        statuses = Counter(answer.status or "closed" for answer in found.answers)
        return (
            attack.name,
            ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items(), key=str)),
            significant(found.seconds),
            significant(found.cpu_seconds),
            f"{max(answer.size_bytes for answer in found.answers):,}",
            f"{significant(median(found.waited) * 1_000)} / {significant(max(found.waited) * 1_000)}",
        )

    columns = ("", "answers", "seconds", "CPU seconds", "largest answer, bytes", "/healthz median / longest, ms")
    return table("What an attack costs", columns, (row(*each) for each in outcomes.items()))


def memory(outcomes: dict[Attack, Outcome]) -> str:
    """Tabulate memory before, during and after each attack."""

    def row(attack: Attack, found: Outcome) -> tuple[str, ...]:
        sizes = (found.memory_before, found.memory_peak, found.memory_after)
        return attack.name, *(significant(size / _MEGABYTE) for size in sizes), significant(sizes[2] / sizes[0])

    columns = ("", "before", "largest", f"{SETTLE_SECONDS} s after", "after / before")
    return table("Resident memory, MB", columns, (row(*each) for each in outcomes.items()))


if __name__ == "__main__":
    main()
