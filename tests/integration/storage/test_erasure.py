"""A subject that was erased is in no table, stays away whoever writes at the same moment, and moves no threshold."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from time import time

import pytest
import sqlalchemy as sa

from importance.errors import InvalidInput
from importance.pseudonyms import Pseudonyms
from importance.scores import Offer
from importance.strata import NEGATIVE, POSITIVE, STRATA
from storage.audit import ALL, Audit, Author, Via
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.erasure import FOREVER_MS, TOLERANCE_MS, Erasure
from storage.recent_items import RecentItems, RecentLimits
from tests.support.searching import tables_naming
from tests.support.storage import TOPIC, Owner, held, offer, rows

ROOMY = dict.fromkeys(STRATA, 1_000)
PSEUDONYMS = Pseudonyms("weir")
OFFICER = Author("officer", Via.CLI, "ticket 17")
LATER_MS = 4_000_000_000_000


def shopping(subject: str, batch: int, **fields: object) -> list[Offer]:
    return [offer(f"{subject}-{batch}-{n}", batch + n / 10, subject=subject, **fields) for n in range(3)]


def test_an_erased_subject_is_in_no_table_and_its_pseudonym_is_all_that_is_recorded(engine: sa.Engine) -> None:
    bounded = Buffer(engine, ROOMY, TOPIC, subject_capacities=dict.fromkeys(STRATA, 2))
    owner, erasure = Owner(engine, bounded), Erasure(engine, PSEUDONYMS)
    owner.flush([*shopping("annabel", 1), *shopping("bernard", 1)])
    assert tables_naming(engine, "annabel") == {"buffer_keys", "buffer_samples", "buffer_subjects"}
    assert erasure.preview("annabel").rows == erasure.erase("annabel", OFFICER).rows
    assert tables_naming(engine, "annabel") == set()
    assert set(held(engine)) == {"bernard-1-1", "bernard-1-2"}
    (entry,) = Audit(engine).entries(ALL, limit=10)
    assert (entry.action, entry.target, entry.reason) == (
        "subjects.erase", f"{PSEUDONYMS.of_subject('annabel') & (2**64 - 1):016x}", "ticket 17",
    )  # fmt: skip
    assert entry.details["rows"] == {
        "buffer_keys": 2, "buffer_samples": 2, "buffer_subjects": 1, "buffer_untrimmed": 0, "recent_items": 0,
    }  # fmt: skip


def test_what_came_before_stays_away_and_what_comes_later_is_welcome_unless_the_subject_is_blocked(
    engine: sa.Engine,
) -> None:
    owner, erasure = Owner(engine, Buffer(engine, ROOMY, TOPIC)), Erasure(engine, PSEUDONYMS)
    owner.flush([*shopping("annabel", 1), *shopping("bernard", 1)])
    left = erasure.erase("annabel", OFFICER).tombstone
    assert left is not None
    assert 0 <= left.until_ms - TOLERANCE_MS - time() * 1_000 + 60_000 <= 120_000
    owner.flush(shopping("annabel", 2, time_ms=left.until_ms))
    assert {id_ for id_ in held(engine) if "annabel" in id_} == set()
    owner.flush(shopping("annabel", 3, time_ms=left.until_ms + 1))
    assert {id_ for id_ in held(engine) if "annabel" in id_} == {"annabel-3-0", "annabel-3-1", "annabel-3-2"}
    assert erasure.of(["annabel", "bernard"]) == {"annabel": left}
    blocked = erasure.erase("annabel", OFFICER, block=True).tombstone
    assert blocked is not None
    assert blocked.is_blocked
    owner.flush(shopping("annabel", 4, time_ms=LATER_MS))
    assert {id_ for id_ in held(engine) if "annabel" in id_} == set()
    again = erasure.erase("annabel", OFFICER).tombstone  # a block is for ever
    assert again is not None
    assert again.until_ms == FOREVER_MS


def test_thresholds_are_read_again_once_after_an_erasure_also_before_the_first_flush(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    bounds = dict.fromkeys(STRATA, 2)
    erasure, buffer = Erasure(engine, PSEUDONYMS), Buffer(engine, ROOMY, TOPIC, subject_capacities=bounds)
    left = erasure.erase("annabel", OFFICER).tombstone
    assert left is not None
    buffer.refresh(left.erased)  # no stratum is stored yet
    Owner(connect(), Buffer(connect(), ROOMY, TOPIC, subject_capacities=bounds)).flush(
        shopping("annabel", 1, time_ms=left.until_ms + 1)
    )
    bounded = (NEGATIVE, "annabel")
    buffer.refresh(left.erased)
    assert bounded not in buffer.thresholds().subjects
    buffer.trim()
    assert bounded in buffer.thresholds().subjects
    again = erasure.erase("annabel", OFFICER).tombstone
    assert again is not None
    buffer.refresh(again.erased)
    assert bounded not in buffer.thresholds().subjects


def test_a_row_from_the_future_that_was_erased_does_not_come_back(engine: sa.Engine) -> None:
    owner, erasure = Owner(engine, Buffer(engine, ROOMY, TOPIC)), Erasure(engine, PSEUDONYMS)
    owner.flush(shopping("annabel", 1, time_ms=LATER_MS))
    left = erasure.erase("annabel", OFFICER).tombstone
    assert left is not None
    owner.flush(shopping("annabel", 1, time_ms=LATER_MS))
    assert held(engine) == {}


def test_erasures_between_the_flushes_of_two_workers_leave_no_row_behind(
    engine: sa.Engine, connect: Callable[[], sa.Engine]
) -> None:
    """Twenty subjects, erased one after the other while both workers store all of them again and again."""
    names = [f"shopper{n}" for n in range(20)]
    workers = [Owner(connect(), Buffer(connect(), ROOMY, TOPIC), partition) for partition in (0, 1)]
    ended, erasure = Event(), Erasure(engine, PSEUDONYMS)

    def store(worker: Owner) -> int:
        batch = 0
        while not ended.is_set():
            batch += 1
            worker.flush([each for name in names for each in shopping(f"{name}", 2 * batch + worker.partition)])
        return batch

    with ThreadPoolExecutor() as threads:
        flushing = [threads.submit(store, worker) for worker in workers]
        try:
            removed = sum(erasure.erase(name, OFFICER).rows["buffer_keys"] for name in names)
        finally:
            ended.set()
        batches = [future.result() for future in flushing]
    assert removed > 0
    assert min(batches) > 3
    assert held(engine) == {}
    assert all(tables_naming(engine, name) == set() for name in names)


def test_an_erasure_evicts_nobody_else_and_the_freed_capacity_is_used_again(engine: sa.Engine) -> None:
    owner = Owner(engine, Buffer(engine, dict.fromkeys(STRATA, 10), TOPIC))
    owner.flush([offer(f"b{n}", float(n), subject="bernard") for n in range(8)])
    owner.flush([offer(f"a{n}", 20.0 + n, subject="annabel") for n in range(4)])
    kappa = owner.buffer.thresholds()[NEGATIVE].kappa
    before = {each.name: each for each in BufferReader(engine).stats().strata}[NEGATIVE]
    assert (kappa, before.items) == (1.0, 10)
    Erasure(engine, PSEUDONYMS).erase("annabel", OFFICER)
    owner.buffer.trim()
    assert owner.buffer.thresholds()[NEGATIVE].kappa == kappa
    owner.flush([offer(f"c{n}", 2.0 + n / 10, subject="carla") for n in range(1, 6)])
    assert owner.buffer.thresholds()[NEGATIVE].kappa == 2.0  # the least of eleven, as if nobody had been there
    assert len(held(engine)) == 10


def test_another_salt_is_refused_because_no_erased_subject_would_be_recognised(engine: sa.Engine) -> None:
    Owner(engine, Buffer(engine, ROOMY, TOPIC)).flush(shopping("annabel", 1))
    Erasure(engine, PSEUDONYMS).erase("annabel", OFFICER)
    other = Pseudonyms("another")
    with pytest.raises(InvalidInput, match="1 subjects were erased under another WEIR_SALT"):
        Buffer(engine, ROOMY, TOPIC, pseudonyms=other).thresholds()
    for attempt in (Erasure(engine, other).preview, lambda name: Erasure(engine, other).erase(name, OFFICER)):
        with pytest.raises(InvalidInput, match="another WEIR_SALT"):
            attempt("bernard")
    assert rows(engine, "SELECT count(*) FROM erased_subjects") == [(1,)]


def test_an_error_of_the_database_repeats_no_parameter(engine: sa.Engine) -> None:
    failing = sa.text("SELECT 1 / length(CAST(:subject AS text)) - 1 / (SELECT 0)")
    with pytest.raises(sa.exc.DBAPIError, match="division by zero") as caught, engine.begin() as connection:
        connection.execute(failing, {"subject": "annabel"})
    assert "annabel" not in str(caught.value)


def test_the_recent_items_of_a_subject_go_and_do_not_come_back(engine: sa.Engine) -> None:
    recent = RecentItems(RecentLimits(5))
    owner = Owner(engine, Buffer(engine, ROOMY, TOPIC, recent_items=recent))
    erasure = Erasure(engine, PSEUDONYMS)
    clicked = [offer(f"{name}-1", 1.0, POSITIVE, subject=name) for name in ("annabel", "bernard")]
    owner.flush(clicked)
    assert (recent.of(engine, "annabel"), recent.of(engine, "bernard")) == (["a lamp"], ["a lamp"])
    assert erasure.erase("annabel", OFFICER).rows["recent_items"] == 1
    owner.flush(clicked)
    assert (recent.of(engine, "annabel"), recent.of(engine, "bernard")) == ([], ["a lamp"])
    assert tables_naming(engine, "annabel") == set()
