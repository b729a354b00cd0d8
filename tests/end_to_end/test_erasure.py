"""Fifty subjects are erased before, during and after a training; then the topic is read again from its start."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
import sqlalchemy as sa

from monitoring.metrics import DependencyMetrics, TrainerMetrics, WorkerMetrics, new_registry
from storage.audit import Author, Via
from storage.erasure import Erasure
from storage.lineage import Lineages
from storage.lock import TrainerLock
from storage.registry import Registry
from storage.runs import Run, Runs
from storage.tables import progress
from tests.support.searching import Kept, tables_naming
from tests.support.service import Service
from tests.support.topic import records
from tests.support.traffic import START_MS, Record, action, impression
from tests.support.waiting import until
from weir.erasing import Eraser, ErasureReport, topics_eraser
from weir.learning.loop import LearningLoop
from weir.roles.reporting import Reporting
from weir.settings import values

pytestmark = pytest.mark.timeout(900)  # two minutes on an idle machine; several processes start meanwhile

SHOPPERS = [f"shopper{number:03d}x" for number in range(200)]
ERASED = SHOPPERS[::4]
BEFORE, DURING, AFTER = ERASED[:17], ERASED[17:34], ERASED[34:]
WITH_LETTERS = (BEFORE[0], DURING[0], AFTER[0], SHOPPERS[1])
OFFICER = Author("officer", Via.CLI, "ticket 17")
STEP_MS = 500
UNTRIMMED = {"buffer_untrimmed"}  # names subjects of the last batch, or none: the trim may wait for the next one


def visits() -> Iterator[Record]:
    """Two impressions of each shopper, one of them clicked, and of some a record that is not an event."""
    rng = random.Random(7)
    for number, name in enumerate([*SHOPPERS, *SHOPPERS]):
        at = START_MS + number * STEP_MS
        shown = impression(f"visit{number}", at, name, rng)
        events = [json.dumps(shown)]
        if number % 2:
            events.append(json.dumps(action(f"click{number}", "click", at, name, shown["id"], rng)))
        if name in WITH_LETTERS:
            events.append(json.dumps(shown)[:-5])
        for event in events:
            yield Record(name.encode(), event.encode(), at)


def erase(service: Service, names: list[str]) -> ErasureReport:
    """The first everywhere; the others, of which no topic of ours has letters, from the database."""
    of_tables = Erasure(service.engine, values.pseudonyms(service.settings))
    for name in names[1:]:
        of_tables.erase(name, OFFICER)
    return Eraser(service.settings, service.engine, topics_eraser(service.settings)).erase(names[0], OFFICER)


def train(service: Service, erase_meanwhile: list[str]) -> Run:
    """A training that has drawn its rows when subjects are erased."""
    small = {"train_least_samples": 50, "train_after_samples": 40, "train_steps": 200, "train_batch": 16}
    metrics = TrainerMetrics(new_registry())
    reporting = Reporting(WorkerMetrics(new_registry()), DependencyMetrics(new_registry(), ()))
    runs = Runs(service.engine)
    with TrainerLock(service.engine) as lock, ThreadPoolExecutor() as threads:
        settings = service.settings.model_copy(update=small)
        loop = LearningLoop(settings, service.engine, lock, metrics, reporting, Event(), lambda _: None)
        polling = threads.submit(loop.poll)
        until("a training", lambda: bool(runs.latest()))
        of_tables = Erasure(service.engine, values.pseudonyms(service.settings))
        of_tables.erase(erase_meanwhile[-1], OFFICER)
        assert runs.latest()[0].ended is None
        erase(service, erase_meanwhile)
        polling.result()
    return runs.latest()[0]


def test_fifty_erased_subjects_are_nowhere_whatever_is_trained_or_read_again_meanwhile(service: Service) -> None:
    count, lineages = len(list(visits())), Lineages(service.engine, values.pseudonyms(service.settings))
    service.send(visits())
    service.beat(START_MS + 10**9)
    service.start()
    service.until("the whole topic", lambda: service.decided() >= count)

    assert tables_naming(service.engine, BEFORE[0]) - UNTRIMMED == {"buffer_keys", "buffer_samples"}
    done = json.loads(service.weir("erase", BEFORE[0], "--json"))
    assert done["rows"]["buffer_samples"] > 0
    assert [each["removed"] for each in done["topics"]] == [0, 2, 0]
    erase(service, BEFORE[1:])

    Registry(service.engine).unfreeze(actor="test", reason="learn")
    run = train(service, DURING)
    assert run.candidate is not None
    drawn_anyway = lineages.erased(run.candidate)
    assert drawn_anyway > 0
    report = erase(service, AFTER)
    assert [each.version for each in report.versions] == [run.candidate]
    assert lineages.erased(run.candidate) > drawn_anyway
    trained = {name for name in SHOPPERS if lineages.trained_on_subject(name)}
    assert (len(trained & {*BEFORE}), len(trained & {*DURING}) > 5, len(trained & {*AFTER}) > 5) == (0, True, True)

    published = {partition: len(rows) for partition, rows in service.read(service.topics.importance).items()}
    replay(service, count)
    search(service, published)


def replay(service: Service, count: int) -> None:
    """Forget how far the topic was decided, and let another worker read all of it again."""
    service.end(service.workers[0])
    with service.engine.begin() as connection:
        connection.execute(sa.delete(progress))
    worker = service.start()
    service.until("the whole topic again", lambda: service.decided() >= count)
    offers = worker.metrics()["weir_buffer_offers"].samples
    assert {x.labels["decision"]: x.value for x in offers if x.name.endswith("_total")}["erased"] == 2 * len(ERASED)


def search(service: Service, published: dict[int, int]) -> None:
    """No table, no letter, no new score and no file has a name of the erased; all but files have one of the others."""
    topics = {
        topic: repr([(each.key, each.value, each.headers) for each in records(service.kafka, topic, since)])
        for topic, since in (
            (service.topics.dead, {}),
            (service.topics.models, {}),
            (service.topics.importance, published),
        )
    }
    tables, letters = Kept.of_tables(service.engine), Kept(topics)
    files = Kept.of_files(Path(service.settings.artifacts_url))
    other = SHOPPERS[1]
    assert tables.naming(other) - UNTRIMMED == {"buffer_keys", "buffer_samples"}
    assert letters.naming(other) == {service.topics.dead, service.topics.importance}
    for name in ERASED:
        assert (tables.naming(name), letters.naming(name), files.naming(name)) == (set(), set(), set())
