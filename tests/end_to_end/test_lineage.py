"""What Weir tells of twenty samples, drawn by chance, is what the topics and the trainings had of them."""

import json
import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Any

import msgspec
import numpy as np
import pytest

from importance.strata import UNIFORM
from monitoring.metrics import DependencyMetrics, TrainerMetrics, WorkerMetrics, new_registry
from storage.buffer_reader import BufferReader, Draw
from storage.lock import TrainerLock
from storage.progress import decided
from storage.registry import Registry
from storage.requests import Requests
from storage.runs import Run, Runs
from stream.publishing import Importance
from tests.support.feeder import STEP_MS, visits
from tests.support.service import WINDOW_MS, Service
from tests.support.traffic import START_MS
from trainer.tuning import mixed_batches
from weir.cli import run as weir
from weir.learning.loop import LearningLoop
from weir.learning.weights import row_weights
from weir.roles.reporting import Reporting
from weir.settings import VARIABLES, training

pytestmark = pytest.mark.timeout(900)  # two minutes on an idle machine; several processes start meanwhile

SAMPLES, SECOND = 20, 500  # samples that are explained, and where the second half of the visits begins
TOLERANCE = 1e-3  # a weight is kept as float16
SMALL = {
    "train_least_samples": 20, "train_after_samples": 20, "train_steps": 30, "train_batch": 16,
    "train_cooldown_seconds": 0.0, "gate_least_samples": 4, "gate_margin": 0.99,
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A run, the rows that it could draw, and in how many of its batches each was."""

    run: Run
    drawn: Draw
    times: Counter[int]
    weights: np.ndarray

    def use(self, sample: str) -> dict[str, object] | None:
        """What a sample had in it, as its history shows it; None where that was nothing."""
        if sample not in self.drawn.ids:
            return None
        row = self.drawn.ids.index(sample)
        measured = self.drawn.stratum[row] == UNIFORM
        if not self.times[row] and not measured:
            return None
        weight = self.weights[row] if self.times[row] else 0
        return {"draws": self.times[row], "weight": pytest.approx(weight, rel=TOLERANCE), "measured": int(measured)}


def send(service: Service, first: int, count: int) -> None:
    """Visits, decided by a worker that has ended when this returns: a trim may come after the last decision."""
    before, worker = decided(service.engine).samples, service.start()
    service.send(visits(first, count))
    service.beat(START_MS + (first + count) * STEP_MS + 2 * WINDOW_MS)
    service.until("their samples", lambda: decided(service.engine).samples == before + count)
    service.end(worker)


def scores(service: Service) -> dict[str, Importance]:
    """What the topic of scores has, by sample."""
    decode = msgspec.json.Decoder(Importance).decode
    rows = [row for rows in service.read(service.topics.importance).values() for row in rows]
    return {found.sample: found for found in (decode(value or b"") for _, _, value in rows)}


def train(service: Service, watermark: int) -> Trained:
    """One fine-tune, of which the draw and the batches are made once more."""
    settings = service.settings.model_copy(update=SMALL)
    drawn = BufferReader(service.engine).draw()
    Requests(service.engine).ask("test")
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(new_registry(), ()))
    with TrainerLock(service.engine) as lock:
        LearningLoop(
            settings, service.engine, lock, TrainerMetrics(new_registry()), reporting, Event(), lambda _: None
        ).poll()
    run = Runs(service.engine).latest()[0]
    assert (run.result, run.inputs["cut"]) == ("promoted", drawn.watermark)
    random_ = np.random.default_rng(settings.seed + run.id)
    batches = mixed_batches(drawn.stored > watermark, training.tuning(settings), random_)
    weights = row_weights(settings, drawn.samples, drawn.probability).values
    return Trained(run, drawn, Counter(row for batch in batches for row in batch.tolist()), weights)


def test_twenty_random_samples_are_shown_as_the_topics_and_the_trainings_had_them(
    service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, service.environment.get(name, ""))

    def as_json(*words: str) -> dict[str, Any] | None:
        capsys.readouterr()
        status, shown = weir([*words, "--json"]), capsys.readouterr()
        assert status == 0 or "is not in the buffer: not stored, and no version learned from it" in shown.err
        return json.loads(shown.out) if status == 0 else None

    Registry(service.engine).unfreeze(actor="test", reason="learn")
    send(service, 0, SECOND)
    first = train(service, 0)
    send(service, SECOND + 100, 500)  # the buffer holds 400 samples: some of the first are evicted
    second = train(service, first.drawn.watermark)
    trained = [first, second]
    log, reader = scores(service), BufferReader(service.engine)
    offsets = {
        json.loads(value)["id"]: (partition, offset)
        for partition, rows in service.read(service.topic).items()
        for offset, _, value in rows
        if b'"impression"' in (value or b"") and b'"text"' in (value or b"")
    }
    held, known = set(reader.ids()), sorted({*first.drawn.ids, *second.drawn.ids, *reader.ids()})
    chosen = random.Random(7).sample(known, SAMPLES)
    assert 0 < sum(sample in held for sample in chosen) < SAMPLES
    for sample in chosen:
        found, score = as_json("buffer", "explain", sample), log[sample]
        learned = {} if found is None else {each["version"]: _used(each["use"]) for each in found["versions"]}
        assert learned == _expected(trained, sample)
        if found is None or not found["in_buffer"]:
            assert sample not in held
            assert found is None or found["standing"] in {"left", "leaving"}
            continue
        assert (found["partition"], found["offset"]) == offsets[sample]
        assert found["time"] == _time(score.time)
        assert [found[name] for name in ("subject", "importance", "estimator", "model", "prediction", "stratum")] == [
            score.subject, score.importance, score.estimator, score.model, score.prediction, score.stratum,
        ]  # fmt: skip
        assert score.model == ("v1" if int(sample.removeprefix("visit-")) < SECOND else first.run.candidate)
        assert found["standing"] == "held"
        assert found["threshold"] is None or found["key"] > found["threshold"]
    for each in trained:
        lineage = as_json("models", "lineage", str(each.run.candidate), "--samples")
        assert lineage is not None
        assert (lineage["samples"], lineage["draws"]) == (len(each.times), each.times.total())
        times = {row["id"]: row["times"] for row in lineage["of"] if row["id"] in chosen}
        assert times == {
            sample: use["draws"] for sample in chosen if sample in held and (use := each.use(sample)) is not None
        }


def _expected(trained: list[Trained], sample: str) -> dict[str, object]:
    """The versions that learned from a sample, or were tuned from one that did."""
    uses = {str(each.run.candidate): each.use(sample) for each in trained}
    first, second = uses
    return {version: use for version, use in uses.items() if use is not None or (version == second and uses[first])}


def _used(use: dict[str, Any] | None) -> dict[str, object] | None:
    return None if use is None else {name: use[name] for name in ("draws", "weight", "measured")}


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat().replace("+00:00", "Z")
