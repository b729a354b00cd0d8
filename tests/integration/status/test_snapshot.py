"""A snapshot of the whole service, taken again and again."""

from collections.abc import Iterator

import numpy as np
import pytest
import sqlalchemy as sa

from importance.quality import CountKey, empty_counts
from storage import migrate
from storage.buffer import Buffer
from storage.engine import create_engine
from tests.conftest import TestPostgres
from tests.support.storage import CAPACITIES, TOPIC, Owner
from weir.status.snapshot import Snapshots

FIRST, SECOND = "week:2011-01-03", "week:2011-01-10"


@pytest.fixture
def engine(postgres: TestPostgres) -> Iterator[sa.Engine]:
    engine = create_engine(postgres.database())
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def counted(owner: Owner, span: str, slice_: str = "all") -> None:
    counts = empty_counts()
    counts[0, 1] = counts[1, 900] = 1
    owner.flush(quality={CountKey(owner.partition, span, "serving", "v1", slice_): counts})


def test_only_the_weeks_that_changed_are_read_and_evaluated_again(engine: sa.Engine) -> None:
    owner, snapshots = Owner(engine, Buffer(engine, CAPACITIES, TOPIC)), Snapshots(engine)
    assert snapshots.take(TOPIC).weeks == {"all": [], "known": []}
    counted(owner, SECOND)
    counted(owner, FIRST)
    before = snapshots.take(TOPIC).weeks["all"]
    assert [week.monday for week in before] == ["2011-01-03", "2011-01-10"]
    counted(owner, SECOND)
    counted(owner, SECOND, "known")
    weeks = snapshots.take(TOPIC).weeks
    assert weeks["all"][0] is before[0]
    assert [week.metrics["serving"].samples for week in weeks["all"]] == [2, 4]
    assert [week.monday for week in weeks["known"]] == ["2011-01-10"]
    assert weeks == Snapshots(engine).take(TOPIC).weeks


def test_a_week_whose_rows_are_gone_is_gone(engine: sa.Engine) -> None:
    owner, snapshots = Owner(engine, Buffer(engine, CAPACITIES, TOPIC)), Snapshots(engine)
    counted(owner, FIRST)
    assert len(snapshots.take(TOPIC).weeks["all"]) == 1
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM quality_counts"))
    assert snapshots.take(TOPIC).weeks["all"] == []
    counted(Owner(engine, Buffer(engine, CAPACITIES, TOPIC), partition=1), FIRST)
    (week,) = snapshots.take(TOPIC).weeks["all"]
    assert np.isclose(week.metrics["serving"].auc, 1.0)
