"""A worker as a process of its own, to be stopped and killed, over a store in a file that outlives it.

Run as ``python -m tests.integration.stream.process SANDBOX``; the sandbox is JSON, as :meth:`Victim.start` writes it.
"""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

import msgspec

from importance.attribution import Policy, Progress
from importance.errors import Fenced
from importance.flush import Flush
from importance.sample import Sample
from importance.scores import Scores
from stream.app import Worker
from stream.partition_worker import Effects, Limits
from stream.topics import Topics
from tests.integration.stream.harness import Sandbox, admit

ROOT = Path(__file__).resolve().parents[3]
POLICY = Policy(window_ms=1_000, deduplication_ms=1_000)


class FileStore:
    """What a store promises, in SQLite: epochs, one transaction a flush, and a count of what is scored in vain."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(self._open()) as database:
            database.executescript(
                "CREATE TABLE IF NOT EXISTS progress (partition PRIMARY KEY, epoch, generation, progress);"
                "CREATE TABLE IF NOT EXISTS samples (id, partition, sandbox);"
                "CREATE TABLE IF NOT EXISTS scored_again (id);"
            )

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=60, isolation_level=None)

    def claim(self, partition: int, generation: int) -> tuple[int, Progress | None]:
        with closing(self._open()) as database:
            row = database.execute(
                "INSERT INTO progress VALUES (?1, 1, ?2, NULL) ON CONFLICT DO UPDATE"
                " SET epoch = epoch + 1, generation = ?2 WHERE generation <= ?2 RETURNING epoch, progress",
                (partition, generation),
            ).fetchone()
        if row is None:
            raise Fenced(f"partition {partition} was claimed in a later generation than {generation}")
        return row[0], msgspec.json.decode(row[1], type=Progress) if row[1] else None

    def persist(self, flush: Flush) -> None:
        with closing(self._open()) as database:
            database.execute("BEGIN IMMEDIATE")
            epoch, stored = database.execute(
                "SELECT epoch, progress FROM progress WHERE partition = ?", (flush.partition,)
            ).fetchone()
            at = msgspec.json.decode(stored, type=Progress).next if stored else flush.old_next
            if epoch != flush.epoch or at != flush.old_next:
                raise Fenced(f"partition {flush.partition} stands at {at} in epoch {epoch}")
            rows = [(offer.sample.id, flush.partition, offer.sample.offset) for offer in flush.offers]
            database.executemany("INSERT INTO samples VALUES (?, ?, ?)", rows)
            progress = msgspec.json.encode(flush.progress)
            database.execute("UPDATE progress SET progress = ? WHERE partition = ?", (progress, flush.partition))
            database.execute("COMMIT")

    def score(self, samples: Sequence[Sample]) -> Scores:
        with closing(self._open()) as database:
            database.executemany(
                "INSERT INTO scored_again SELECT id FROM samples WHERE id = ?", [(sample.id,) for sample in samples]
            )
        return Scores.uniform(len(samples))

    def ids(self, partition: int) -> list[str]:
        """The samples of a partition in the order in which they were stored."""
        with closing(self._open()) as database:
            rows = database.execute("SELECT id FROM samples WHERE partition = ? ORDER BY rowid", (partition,))
            return [row[0] for row in rows]

    def count(self, table: str = "samples") -> int:
        """Rows of a table."""
        with closing(self._open()) as database:
            return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def acknowledged(self) -> dict[int, int]:
        """Partition → the offset up to which all is durable and may be committed."""
        with closing(self._open()) as database:
            rows = database.execute("SELECT partition, progress FROM progress WHERE progress IS NOT NULL").fetchall()
        return {partition: msgspec.json.decode(stored, type=Progress).acknowledged for partition, stored in rows}


class Victim:
    """A worker process from outside."""

    def __init__(self, sandbox: Sandbox, store: FileStore) -> None:
        self.sandbox = sandbox
        self.store = store
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no process behind, whatever became of the test."""
        for process in self.processes:
            process.kill()
            process.wait()

    def start(self, **changes: float) -> subprocess.Popen[bytes]:
        topics = self.sandbox.topics
        names = [topics.interactions, topics.dead, topics.importance, topics.models]
        sandbox = {"bootstrap": self.sandbox.bootstrap, "group": self.sandbox.group, "folder": str(self.sandbox.folder)}
        argument = json.dumps({**sandbox, "topics": names, "store": str(self.store.path), "changes": changes})
        command = [sys.executable, "-m", "tests.integration.stream.process", argument]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        self.processes.append(process)
        return process


async def work(given: dict) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sandbox = Sandbox(given["bootstrap"], Topics(*given["topics"]), given["group"], Path(given["folder"]), partitions=0)
    store = FileStore(Path(given["store"]))
    effects = Effects(store.claim, store.score, admit, lambda *_: {}, store.persist, lambda report: None)
    settings = sandbox.settings(**{"max_poll_records": 50, "commit_interval_seconds": 0.1} | given["changes"])
    return await Worker(
        settings, POLICY, effects, Limits(scoring_samples=50, batch_samples=50, batch_records=100, commit_samples=20)
    ).run(stop)


if __name__ == "__main__":
    sys.exit(asyncio.run(work(json.loads(sys.argv[1]))))
