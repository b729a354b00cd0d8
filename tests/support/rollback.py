"""Change the serving version under load and see, offset by offset, that no sample is scored by a wrong one."""

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median

import torch

from importance.mixture import parse
from storage.artifacts import Artifacts
from storage.audit import Via
from storage.registry import Entry, Registry
from stream.topics import end_offsets
from tests.support.service import Service
from tests.support.traffic import samples
from tests.support.worker import WorkerProcess
from trainer import version_directory as versions
from trainer.bootstrap import FirstTraining, build
from trainer.scorer import Scorer, ScoringConfig
from weir.operations import Operations, announcer

Offsets = dict[int, int]


def register(service: Service, seed: int) -> str:
    """Register one more built-in model at its real size, untrained, as a candidate; its name."""
    registry = Registry(service.engine)
    version = registry.new_version()
    folder = versions.save(build(samples(), FirstTraining(), seed), service.home / version)
    registry.register(version, *Artifacts(service.settings.artifacts_url).save(version, folder))
    return version


def promote(service: Service, version: str) -> Entry:
    """What ``weir models promote`` does, without the start of a process."""
    registry = Registry(service.engine)
    problems: list[str] = []
    announce = announcer(service.settings, registry, problems.append)
    operations = Operations(
        service.engine, Artifacts(service.settings.artifacts_url), problems.append, Via.CLI, announce
    )
    entry = operations.promote_new(version, actor="test", reason="a new season")
    assert problems == []
    return entry


def bare_load_seconds(service: Service, version: str, times: int = 5) -> list[float]:
    """What one change costs without any service: fetch, check, load and warm up, again and again."""
    found = Registry(service.engine).version(version)
    artifacts = Artifacts(service.settings.artifacts_url)
    seconds = []
    for _ in range(times):
        scorer = Scorer(ScoringConfig(parse("uniform")), torch.device("cpu"))
        with tempfile.TemporaryDirectory() as scratch:
            begun = time.perf_counter()
            scorer.swap(version, artifacts.fetch(found.artifact, found.sha256, Path(scratch)))
            seconds.append(time.perf_counter() - begun)
    return seconds


@dataclass(frozen=True)
class Reign:
    """One version's time in the topic ``importance``.

    From the offsets ``begun`` on nobody but it and the one ``before`` may score, from ``settled`` on it alone.
    """

    version: str
    before: str
    begun: Offsets
    settled: Offsets


class Watch:
    """Workers, watched from outside while versions change. Times are in seconds."""

    def __init__(self, service: Service, workers: list[WorkerProcess]) -> None:
        self._service, self._workers = service, workers
        self._reigns: list[Reign] = []
        self._from_command: list[float] = []
        self._from_entry: list[float] = []

    def promote(self, version: str) -> None:
        """Let a version serve, and wait until it alone does."""
        self._through(lambda: promote(self._service, version))

    def rollback(self, *options: str) -> Entry:
        """``weir models rollback``, until the version before alone serves; measured until the last process swapped."""
        begun = time.time()

        def change() -> Entry:
            self._service.weir("models", "rollback", "--reason", "looks wrong", *options)
            return Registry(self._service.engine).log()[-1]

        entry, swapped = self._through(change)
        self._from_command.append(swapped - begun)
        self._from_entry.append(swapped - entry.time.timestamp())
        return entry

    def _through(self, change: Callable[[], Entry]) -> tuple[Entry, float]:
        service, topic = self._service, self._service.topics.importance
        begun = end_offsets(service.connection, topic)
        entry = change()
        assert entry.to_version is not None
        assert entry.from_version is not None
        swapped = max(self._swapped(worker, entry.sequence) for worker in self._workers)
        # A worker scores, publishes and stores batch after batch: where `next` moves, what was under way is published.
        before = service.next
        service.until("the next batch", lambda: all(at > before.get(n, 0) for n, at in service.next.items()))
        settled = end_offsets(service.connection, topic)
        self._reigns.append(Reign(entry.to_version, entry.from_version, begun, settled))
        return entry, swapped

    def _swapped(self, worker: WorkerProcess, sequence: int) -> float:
        """When a worker let the version of an entry in, by its own word."""

        def lines() -> list[str]:
            return [line["timestamp"] for line in worker.said("model swapped") if line["sequence"] >= sequence]

        self._service.until(f"the swap of entry {sequence}", lambda: bool(lines()))
        return datetime.fromisoformat(lines()[0]).timestamp()

    def check_every_score(self) -> int:
        """Hold each record of the topic ``importance`` against the reigns; the number of records looked at."""
        looked_at = 0
        for partition, records in self._service.read(self._service.topics.importance).items():
            models = [json.loads(value)["model"] for _, _, value in records]
            ends = [reign.begun[partition] for reign in self._reigns[1:]] + [len(models)]
            for reign, end in zip(self._reigns, ends, strict=True):
                begun, settled = reign.begun[partition], reign.settled[partition]
                assert set(models[begun:settled]) <= {reign.before, reign.version}
                assert set(models[settled:end]) <= {reign.version}
                looked_at += end - begun
        return looked_at

    def table(self, bare: list[float]) -> str:
        """The times of all rollbacks so far, as lines to print."""
        rows = [
            ("command to last process swapped", self._from_command),
            ("entry of the log to last process swapped", self._from_entry),
            ("bare: fetch, check, load, warm up", bare),
        ]
        head = f"{'seconds':42}{'n':>4}{'median':>9}{'maximum':>9}"
        return "\n".join([head, *(f"{name:42}{len(x):4}{median(x):9.3f}{max(x):9.3f}" for name, x in rows)])
