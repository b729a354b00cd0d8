"""What the registry says of the samples that made a version is what the training did."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from importance.errors import InvalidInput, NotFound
from importance.pseudonyms import Pseudonyms
from importance.strata import UNIFORM
from importance.weights import training_weights
from storage.audit import Author, Via
from storage.buffer_reader import BufferReader
from storage.erasure import Erasure
from storage.history import Histories
from storage.lineage import Lineages
from storage.runs import Run
from tests.conftest import TestPostgres
from tests.integration.roles.test_trainer import TrainerWorld
from tests.support.waiting import until
from trainer.tuning import mixed_batches
from weir.erasing import Eraser
from weir.settings import training, values

OFFICER = Author("officer", Via.CLI)


@pytest.fixture
def world(postgres: TestPostgres, tmp_path: Path) -> Iterator[TrainerWorld]:
    """A trainer whose every candidate is promoted."""
    world = TrainerWorld(postgres.database(), tmp_path, gate_least_samples=4, gate_margin=0.99)
    yield world
    world.lock.release()
    world.engine.dispose()


def train(world: TrainerWorld) -> Run:
    world.requests.ask("ann")
    world.pass_cooldown()
    world.trainer.poll()
    run = world.runs.last()
    assert run is not None
    assert run.result == "promoted"
    return run


def test_the_lineage_of_random_samples_agrees_with_the_batches_of_the_training(world: TrainerWorld) -> None:
    drawn = BufferReader(world.engine).draw()
    run = train(world)
    batches = mixed_batches(
        np.ones(len(drawn), dtype=np.bool_),  # the first run: all are fresh
        training.tuning(world.settings),
        np.random.default_rng(world.settings.seed + run.id),
    )
    times = Counter(row for batch in batches for row in batch.tolist())
    weights = training_weights(drawn.probability).values
    lineages = Lineages(world.engine, values.pseudonyms(world.settings))
    assert run.candidate is not None
    for row in random.Random(1).sample(range(len(drawn)), 20):
        found = {each.version: each.use for each in lineages.trained_on_sample(drawn.ids[row])}
        is_uniform = drawn.stratum[row] == UNIFORM
        if not times[row] and not is_uniform:
            assert found == {}
            continue
        use = found[run.candidate]
        assert use is not None
        assert (use.draws, use.measured) == (times[row], int(is_uniform))
        assert use.weight == pytest.approx(weights[row] if times[row] else 0, rel=1e-3)
    summary = lineages.summary(run.candidate)
    assert (summary.samples, summary.draws) == (len(times), sum(times.values()))
    assert summary.measured == drawn.stratum.count(UNIFORM)
    counted = Counter(drawn.stratum[row] for row in times)
    assert summary.strata == pytest.approx({name: count / len(times) for name, count in counted.items()})


def test_a_version_inherits_what_its_parents_were_trained_on(world: TrainerWorld) -> None:
    first = train(world)
    lineages = Lineages(world.engine, values.pseudonyms(world.settings))
    assert first.candidate is not None
    lineage = lineages.lineage(first.candidate)
    ids = BufferReader(world.engine).ids()
    known = dict(zip(values.pseudonyms(world.settings).of_samples(ids).tolist(), ids, strict=True))
    sample = next(known[number] for number, times in zip(lineage.samples.tolist(), lineage.times, strict=True) if times)
    subject = BufferReader(world.engine).explain(sample).sample.subject
    Erasure(world.engine, values.pseudonyms(world.settings)).erase(subject, OFFICER)
    second = train(world)
    assert [each.version for each in lineages.trained_on_subject(subject)] == [first.candidate, second.candidate]
    own, inherited = (each.use for each in lineages.trained_on_subject(subject))
    assert own is not None
    assert own.samples == 1
    assert inherited is None
    assert (lineages.erased(first.candidate), lineages.erased(str(second.candidate))) == (1, 0)


def test_a_subject_that_is_erased_while_a_version_is_trained_is_in_its_lineage_and_counted(
    postgres: TestPostgres, tmp_path: Path
) -> None:
    world = TrainerWorld(postgres.database(), tmp_path, train_steps=100, gate_least_samples=4, gate_margin=0.99)
    lineages = Lineages(world.engine, values.pseudonyms(world.settings))
    erasure = Erasure(world.engine, values.pseudonyms(world.settings))
    world.requests.ask("ann")
    with ThreadPoolExecutor() as threads:
        polling = threads.submit(world.trainer.poll)
        until("a run", lambda: bool(world.runs.latest()))
        erasure.erase("subject 1", OFFICER)
        assert world.runs.latest()[0].ended is None
        polling.result()
    (run,) = world.runs.latest()
    assert run.candidate is not None
    assert lineages.erased(run.candidate) == 1
    assert [each.version for each in lineages.trained_on_subject("subject 1")] == [run.candidate]
    world.lock.release()
    world.engine.dispose()


def test_what_was_recorded_under_another_salt_is_reported_and_stops_no_search(world: TrainerWorld) -> None:
    run = train(world)
    other = Pseudonyms("another")
    lineages = Lineages(world.engine, other)
    assert (lineages.trained_on_subject("subject 1"), lineages.unsearchable()) == ([], [run.candidate])
    stored = BufferReader(world.engine).ids()[0]
    assert f"; {run.candidate} cannot be searched: made under another WEIR_SALT" in Histories(
        world.engine, other
    ).of(stored).why  # fmt: skip
    settings = world.settings.model_copy(update={"salt": "another"})
    assert (lineages.summary(str(run.candidate)).draws, lineages.erased(str(run.candidate))) == (16, 0)
    report = Eraser(settings, world.engine, lambda _subject, _dry_run: []).erase("subject 1", OFFICER)
    assert (report.versions, report.unsearchable) == ([], [run.candidate])
    for read in (lineages.lineage, lineages.erased):  # nothing could be found of what was just erased
        with pytest.raises(InvalidInput, match=f"lineage of {run.candidate} was recorded under another WEIR_SALT.*run"):
            read(str(run.candidate))
    assert Lineages(world.engine, values.pseudonyms(world.settings)).unsearchable() == []


def test_a_version_that_was_not_trained_here_has_no_lineage(world: TrainerWorld) -> None:
    lineages = Lineages(world.engine, values.pseudonyms(world.settings))
    with pytest.raises(NotFound, match="version v1 has no lineage: it was not trained here"):
        lineages.summary("v1")
    with pytest.raises(NotFound, match="no version v99"):
        lineages.erased("v99")
