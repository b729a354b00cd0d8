"""The sums of a race: stored once with the samples, and added over partitions."""

from dataclasses import replace

import numpy as np
import sqlalchemy as sa

from importance.race.standing import Standing
from storage.buffer import Buffer
from storage.race import Races
from tests.support.storage import CAPACITIES, TOPIC, Owner, offer


def test_results_are_stored_once_and_those_of_partitions_add_up(engine: sa.Engine) -> None:
    brier = np.random.default_rng(1).random((60, 3)) / 10
    owners = [Owner(engine, Buffer(engine, CAPACITIES, TOPIC), partition) for partition in (0, 1)]
    assert Races(engine).standing("these", 3).results == 0
    for number, part in enumerate(np.array_split(brier, 6)):
        owner = owners[number % 2]
        flush = owner.prepare([offer(f"i{number}", 1.0)])
        flush = replace(flush, race={"these": Standing.of(part), "others": Standing.nothing(2)})
        owner.buffer.persist(flush)
        owner.buffer.persist(flush)  # an unclear COMMIT: given again
        owner.next = flush.progress.next
    found, whole = Races(engine).standing("these", 3), Standing.of(brier)
    assert found.results == 60
    assert np.allclose(found.flat(), whole.flat())
    assert np.allclose(found.log_e, whole.log_e)
