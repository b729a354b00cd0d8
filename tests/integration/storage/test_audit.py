"""The audit log: an entry with each change and none without, that cannot be altered."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from importance.ceilings import reset
from importance.errors import Conflict, InvalidInput
from storage.audit import Action, Audit, Author, Entry, Filter, Via
from storage.buffer import Buffer
from storage.progress import Progresses
from storage.registry import Registry
from storage.requests import Requests
from storage.texts import ACTOR_CHARACTERS, REASON_CHARACTERS
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer, rows

ANN = Author("ann", Via.CLI, "by the book")


@pytest.fixture
def audit(engine: sa.Engine) -> Audit:
    return Audit(engine)


def newest(audit: Audit) -> Entry:
    return audit.entries(limit=1)[0]


def test_an_entry_has_who_by_which_way_what_why_and_when(audit: Audit) -> None:
    audit.record(ANN, Action.REDRIVE, "partition 3", {"sent": 2})
    (entry,) = audit.entries(limit=10)
    assert (entry.actor, entry.via, entry.action, entry.target) == ("ann", "cli", "dead_letters.redrive", "partition 3")
    assert (entry.reason, entry.details) == ("by the book", {"sent": 2})
    assert entry.time.tzinfo is not None


def test_promotions_rollbacks_freezes_and_requests_are_recorded_with_their_change(
    audit: Audit, engine: sa.Engine
) -> None:
    registry, requests = Registry(engine, via=Via.TRAINER), Requests(engine, via=Via.HTTP)
    for version in ("v1", "v2"):
        registry.register(version, f"{version}-artifact", "ab" * 32)
        registry.promote(version, expected_sequence=None, actor="trainer", reason="better")
    assert [requests.ask("bob", "new season") for _ in range(2)] == [True, False]
    registry.freeze(actor="trainer", reason="holidays")
    registry.unfreeze(actor="trainer", reason="back")
    registry.rollback(None, actor="trainer", reason="worse")
    found = [(x.via, x.actor, x.action, x.target, x.reason) for x in reversed(audit.entries(limit=99))]
    assert found == [
        ("trainer", "trainer", "models.promote", "v1", "better"),
        ("trainer", "trainer", "models.promote", "v2", "better"),
        ("http", "bob", "training.run", "", "new season"),
        ("trainer", "trainer", "training.freeze", "", "holidays"),
        ("trainer", "trainer", "training.unfreeze", "", "back"),
        ("trainer", "trainer", "models.rollback", "v1", "worse"),
    ]
    assert newest(audit).details == {"sequence": 5, "from": "v2"}


def test_a_refused_change_leaves_no_entry(audit: Audit, engine: sa.Engine) -> None:
    registry = Registry(engine)
    with pytest.raises(Conflict):
        registry.unfreeze(actor="ann", reason="go")
    with pytest.raises(InvalidInput):
        registry.freeze(actor="ann", reason="")
    assert audit.entries(limit=99) == []


def test_a_reset_of_a_partition_is_recorded_unless_it_has_moved(audit: Audit, engine: sa.Engine) -> None:
    Owner(engine, Buffer(engine, CAPACITIES, TOPIC)).flush([offer("a", 1.0)])
    progresses = Progresses(engine, TOPIC)
    (position,) = progresses.positions()
    assert position.progress is not None
    again = reset(position.progress, wall_ms=1_700_000_000_000)
    progresses.replace(position, again, ANN)
    with pytest.raises(Conflict):
        progresses.replace(position, again, ANN)
    (entry,) = audit.entries(limit=99)
    assert (entry.action, entry.target, entry.details["next"]) == ("partitions.reset", "0", position.progress.next)


def test_entries_are_found_by_time_actor_and_action_a_page_at_a_time_newest_first(audit: Audit) -> None:
    for number in range(5):
        audit.record(Author("ann" if number % 2 else "bob", Via.CLI), Action.REDRIVE, str(number))
    audit.record(Author("bob", Via.CLI), Action.RESCORE)
    assert [x.target for x in audit.entries(Filter(actor="ann"), limit=9)] == ["3", "1"]
    assert [x.target for x in audit.entries(Filter(action="dead_letters.redrive"), limit=2)] == ["4", "3"]
    page = audit.entries(limit=4)
    assert [x.target for x in audit.entries(limit=4, before=page[-1].id)] == ["1", "0"]
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert audit.entries(Filter(since=soon), limit=9) == []
    assert len(audit.entries(Filter(since=soon - timedelta(hours=2)), limit=9)) == 6


@pytest.mark.parametrize("author", [Author("", Via.CLI), Author("a" * (ACTOR_CHARACTERS + 1), Via.CLI),
                                    Author("a\0b", Via.CLI), Author("ann", Via.CLI, "r" * (REASON_CHARACTERS + 1)),
                                    Author("ann", Via.CLI, "\ud800")])  # fmt: skip
def test_a_text_that_cannot_be_stored_is_refused(audit: Audit, author: Author) -> None:
    with pytest.raises(InvalidInput):
        audit.record(author, Action.REDRIVE)


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
def test_the_log_cannot_be_altered(audit: Audit, engine: sa.Engine, statement: str) -> None:
    audit.record(ANN, Action.REDRIVE)
    with pytest.raises(DBAPIError, match="append-only"):
        rows(engine, statement)
    assert len(audit.entries(limit=9)) == 1
