"""Clocks of producers that are wrong, and records that come too late: nobody else is harmed, and nothing is lost."""

import json
import random
import time
from collections import Counter

import pytest

from stream import dead_letters
from stream.topics import end_offsets
from tests.support.comparison import published_scores
from tests.support.service import Service
from tests.support.traffic import YEAR_3000_MS, Record, action, impression

pytestmark = pytest.mark.timeout(900)

MINUTE_MS = 60_000
LIVE = 40


def now_ms() -> int:
    return int(time.time() * 1_000)


def shown(name: str, count: int, time_ms: int, stamp_ms: int) -> list[Record]:
    """Impressions by many subjects, each with a click."""
    rng, records = random.Random(name), []
    for number in range(count):
        subject = f"subject-{number % 97}"
        seen = impression(f"{name}-{number}", time_ms, subject, rng)
        clicked = action(f"{name}-click-{number}", "click", time_ms, subject, seen["id"], rng)
        records += [Record(subject.encode(), json.dumps(event).encode(), stamp_ms) for event in (seen, clicked)]
    return records


def letters(service: Service) -> Counter[tuple[str, str]]:
    """How many dead letters there are by reason and name of the traffic they belong to."""
    found = dead_letters.read(service.connection, service.topics.dead)
    return Counter((each.reason, json.loads(each.value or b"{}").get("id", "-").partition("-")[0]) for each in found)


def until_there(service: Service, topic: str, records: int) -> None:
    service.until(f"{records} in {topic}", lambda: sum(end_offsets(service.connection, topic).values()) >= records)


@pytest.mark.parametrize("late", [90, pytest.param(4_500, marks=pytest.mark.soak)])
def test_records_of_the_year_3000_or_an_hour_ahead_or_late_cost_no_other_and_what_was_late_is_scored_once(
    service: Service, late: int, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = service.start()
    service.send(shown("before", LIVE, now_ms(), now_ms()))
    service.beat(YEAR_3000_MS)
    service.send(shown("poison", 1, YEAR_3000_MS, YEAR_3000_MS))
    ahead_ms = now_ms() + 55 * MINUTE_MS
    service.send(shown("ahead", LIVE, ahead_ms, ahead_ms))
    service.send(shown("after", LIVE, now_ms(), now_ms()))
    service.send(shown("late", late, now_ms() - 40 * MINUTE_MS, now_ms()))
    until_there(service, service.topics.dead, 2 + 2 + 2 * LIVE + 2 * late)
    expected = {
        ("time_ahead_of_clock", ""): 2,  # the heartbeats
        ("time_ahead_of_clock", "poison"): 2,
        ("time_ahead_of_clock", "ahead"): 2 * LIVE,
        ("late", "late"): 2 * late,
    }
    assert {(reason, name.strip("-")): count for (reason, name), count in letters(service).items()} == expected

    assert service.end(worker) == 0
    service.start()
    service.send(shown("again", LIVE, now_ms(), now_ms()))
    sent = service.weir("dead-letters", "redrive", "--reason", "late", "--json")
    assert json.loads(sent) == {"sent": 2 * late}
    service.until(
        "all read", lambda: sum(p.progress.read for p in service.positions() if p.progress) == in_topic(service)
    )
    service.beat(now_ms() + 3 * MINUTE_MS)
    until_there(service, service.topics.importance, 3 * LIVE + late)
    service.until("all decided", lambda: service.decided() == in_topic(service))

    scores = published_scores(service)
    times = Counter(Counter(score.sample for score in scores).values())
    names = Counter(score.sample.partition("-")[0] for score in scores)
    assert (names, times) == ({"before": LIVE, "after": LIVE, "again": LIVE, "late": late}, {1: 3 * LIVE + late})
    assert all(score.label == 1 for score in scores)  # each with its click
    assert sum(at.samples for at in service.positions()) == 3 * LIVE + late
    assert sum(end_offsets(service.connection, service.topics.dead).values()) == sum(expected.values())
    with capsys.disabled():
        print(f"\nletters {expected}; scored {dict(names)}, each once")


def read(service: Service) -> int:
    """How many records were read, as far as it is stored."""
    return sum(at.progress.read for at in service.positions() if at.progress)


def in_topic(service: Service) -> int:
    """How many records the topic has."""
    return sum(end_offsets(service.connection, service.topic).values())
