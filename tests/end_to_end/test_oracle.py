"""The whole worker against the pure functions: what is in Postgres is a function of the topic's content.

Faults, rebalances and repeated deliveries must leave no trace in it.
"""

import pytest

from tests.conftest import TestPostgres
from tests.support.comparison import assert_as_told, assert_commits, published_scores, scored_again
from tests.support.havoc import Faults, Havoc
from tests.support.lookout import Lookout
from tests.support.oracle import Oracle
from tests.support.service import WINDOW_MS, Service
from tests.support.traffic import latest_ms, traffic
from weir.local.kafka import KafkaServer

pytestmark = pytest.mark.timeout(900)  # a minute or two on an idle machine; half a dozen processes start meanwhile


def close_windows(service: Service, after_ms: int) -> int:
    """Let event time run until nothing waits, and then until nothing need be remembered; how far it got."""
    for windows in (3, 6):
        service.beat(after_ms + windows * WINDOW_MS)
    return after_ms + 6 * WINDOW_MS


def assert_every_fate(oracle: Oracle) -> None:
    """The traffic has what it was made for: late ones, wrong clocks and what is no event."""
    assert {"late", "time_ahead_of_clock", "not_json"} <= {reason for _, _, reason in oracle.dead}


def test_workers_that_come_and_go_leave_in_postgres_what_the_topic_says(service: Service) -> None:
    records = list(traffic(seed=1, impressions=3_000, window_ms=WINDOW_MS))
    thirds = [records[start : start + len(records) // 3 + 1] for start in range(0, len(records), len(records) // 3 + 1)]
    oracle = Oracle(service.settings, service.topic)
    with Lookout(service) as lookout:
        first = service.start()
        service.send(thirds[0])
        service.until_decided(oracle.read())
        assert_as_told(service, oracle)  # one worker
        second = service.start()
        service.until("a partition each", lambda: len(first.partitions) == len(second.partitions) == 1)
        service.send(thirds[1])
        service.until_decided(oracle.read())
        assert service.end(first) == 0
        service.send(thirds[2])
        close_windows(service, latest_ms(records))
        service.until_decided(oracle.read())
    assert assert_as_told(service, oracle) > 2_900
    assert_every_fate(oracle)
    assert scored_again(oracle, published_scores(service), lookout, ()) == {}
    assert assert_commits(oracle, lookout) > 2


FEW = Faults(kills=1, stops=1, postgres_kills=1, broker_kills=1, impressions=2_000)
MANY = Faults(kills=20, stops=5, postgres_kills=1, broker_kills=1, impressions=5_000)


@pytest.mark.parametrize("faults", [pytest.param(FEW, id="few"), pytest.param(MANY, id="many", marks=pytest.mark.soak)])
def test_whatever_is_killed_or_stopped_and_delivered_twice_changes_nothing(
    mortal: Service,
    own_kafka: KafkaServer,
    own_postgres: TestPostgres,
    faults: Faults,
    capsys: pytest.CaptureFixture[str],
) -> None:
    records = list(traffic(seed=2, impressions=faults.impressions * (faults.total + 1), window_ms=WINDOW_MS))
    size = len(records) // (faults.total + 1) + 1
    oracle = Oracle(mortal.settings, mortal.topic)
    with Lookout(mortal) as lookout:
        havoc = Havoc(mortal, lookout, own_kafka, own_postgres, seed=3)
        for _ in range(2):
            mortal.start()
        for number, inflict in enumerate(havoc.plan(faults)):
            mortal.send(records[number * size : (number + 1) * size])
            havoc.wait(sum(oracle.read().values()))
            inflict()
        mortal.send(records[faults.total * size :])
        closed_ms = close_windows(mortal, latest_ms(records))
        mortal.until_decided(oracle.read())
        delivered_once = oracle.buffer().rows()
        mortal.send(records)
        close_windows(mortal, closed_ms)
        mortal.until_decided(oracle.read())
        mortal.until("the last commit", lambda: bool(lookout.looks) and lookout.looks[-1].committed == oracle.ends)
    assert oracle.buffer().rows() == delivered_once
    samples = assert_as_told(mortal, oracle)
    assert_every_fate(oracle)
    published = published_scores(mortal)
    again = scored_again(oracle, published, lookout, havoc.stops)
    assert again["again"] == 0
    commits = assert_commits(oracle, lookout)
    with capsys.disabled():
        print(
            f"\n{faults}: {sum(oracle.ends.values())} records, {samples} samples, {len(published)} scores, "
            f"{again['zombie']} of them by zombies, {len(oracle.dead)} dead letters, {commits} commits seen"
        )
