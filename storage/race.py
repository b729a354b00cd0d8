"""The standing of a race of selection policies: sums by partition, each written by its owner alone, added when read.

What the sums mean is `importance.race`'s. A race is named by its policies: other policies start at 0.
"""

from uuid import UUID

import numpy as np
import sqlalchemy as sa

from importance.flush import Flush
from importance.race.standing import Standing
from storage import tables
from storage.engine import transaction

_ADD = sa.text("""
    INSERT INTO race_sums AS own (topic_id, partition, race, results, sums)
    VALUES (:topic, :partition, :race, :results, CAST(:sums AS float8[]))
    ON CONFLICT (topic_id, partition, race) DO UPDATE SET
        results = own.results + excluded.results,
        sums = (
            SELECT array_agg(before + more ORDER BY at)
            FROM unnest(own.sums, excluded.sums) WITH ORDINALITY AS each (before, more, at)
        )
""")


def add(connection: sa.Connection, topic_id: UUID, flush: Flush) -> None:
    """Add a flush's results to the sums of its partition, in the transaction that holds the progress row."""
    for race, standing in flush.race.items():
        values = {"race": race, "results": standing.results, "sums": standing.flat().tolist()}
        connection.execute(_ADD, {"topic": topic_id, "partition": flush.partition} | values)


class Races:
    """The sums of all partitions."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def standing(self, race: str, policies: int) -> Standing:
        """Return the standing of a race of so many policies."""
        row = tables.race_sums
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(row.c.results, row.c.sums).where(row.c.race == race)).all()
        total = Standing.nothing(policies)
        for each in found:
            total += Standing.from_flat(each.results, np.array(each.sums), policies)
        return total
