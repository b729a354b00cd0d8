"""Postgres goes back to an older state while Kafka is at today: the worker reads on from what Postgres says."""

import psycopg
import pytest
import sqlalchemy as sa

from stream import dead_letters
from tests.support.comparison import assert_buffer, assert_counts, published_scores
from tests.support.oracle import Oracle
from tests.support.service import WINDOW_MS, Service
from tests.support.traffic import latest_ms, traffic

pytestmark = pytest.mark.timeout(900)


def copy(url: sa.URL, source: str, target: str) -> None:
    """Make ``target`` anew as a copy of the database ``source``, which nobody may be connected to."""
    server = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{target}" WITH (FORCE)')  # type: ignore[call-overload]
        connection.execute(f'CREATE DATABASE "{target}" TEMPLATE "{source}"')  # type: ignore[call-overload]


def test_after_a_restore_of_an_older_state_nothing_is_lost_and_nothing_doubled(service: Service) -> None:
    records = list(traffic(seed=5, impressions=1_500, window_ms=WINDOW_MS))
    half = len(records) // 2
    oracle = Oracle(service.settings, service.topic)
    database = service.engine.url.database
    assert database is not None
    backup = f"{database}_backup"

    worker = service.start()
    service.send(records[:half])
    service.until_decided(oracle.read())
    assert service.end(worker) == 0
    service.engine.dispose()
    copy(service.engine.url, database, backup)

    worker = service.start()  # "today": decided, published, committed to Kafka, and then lost with the database
    service.send(records[half:])
    service.until_decided(oracle.read())
    assert service.end(worker) == 0
    service.engine.dispose()
    copy(service.engine.url, backup, database)

    service.start()
    for windows in (3, 6):
        service.beat(latest_ms(records) + windows * WINDOW_MS)
    service.until_decided(oracle.read())
    assert len(oracle.samples) > 1_400
    assert_buffer(service, oracle)
    published = published_scores(service)
    assert_counts(service, oracle, published)
    assert {record.sample: record.label for record in published} == oracle.labels
    letters = dead_letters.read(service.connection, service.topics.dead)  # those of the second half were sent twice
    assert {(x.partition, x.offset, x.reason) for x in letters} == set(oracle.dead)
    with service.engine.connect() as connection:
        decided = connection.scalar(sa.text("SELECT sum(samples) FROM progress"))
    assert decided == len(oracle.samples)
