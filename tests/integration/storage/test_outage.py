"""A database that goes away is unavailable, loses nothing that was stored, and is found again by itself."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from importance.errors import Unavailable
from importance.pseudonyms import Pseudonyms
from importance.sample import Action, Correction
from importance.scores import Offer
from storage import migrate
from storage.buffer import Buffer
from storage.buffer_reader import BufferReader
from storage.engine import create_engine, transaction
from storage.progress import decided
from storage.staging import stage
from tests.conftest import TestPostgres
from tests.support.storage import CAPACITIES, TOPIC, Owner, held, offer, rows


def test_a_killed_database_comes_back_with_all_that_was_stored(own_postgres: TestPostgres) -> None:
    engine = create_engine(own_postgres.database())
    migrate.upgrade(engine)
    owner = Owner(engine, Buffer(engine, CAPACITIES, TOPIC))
    owner.flush([offer("a", 1.0)])
    flush = owner.prepare([offer("b", 2.0)], [Correction("a", int(Action.CLICK))])
    own_postgres.kill()
    for _ in range(2):
        with pytest.raises(Unavailable):
            owner.buffer.persist(flush)
    own_postgres.start()
    owner.buffer.persist(flush)
    assert set(held(engine)) == {"a", "b"}
    assert BufferReader(engine).explain("a").label == 1
    assert decided(engine).samples == 2
    engine.dispose()


def test_a_session_that_ends_in_the_middle_of_a_copy_is_not_used_again(engine: sa.Engine) -> None:
    owner = Owner(engine, Buffer(engine, CAPACITIES, TOPIC))
    owner.flush([offer("a", 1.0)])
    other = create_engine(engine.url.render_as_string(hide_password=False))

    class Ending(list[Offer]):
        """Far more rows than the client holds back; the session ends after the first."""

        def __iter__(self) -> Iterator[Offer]:
            for number, each in enumerate(super().__iter__()):
                if number == 1:
                    here = "query LIKE 'COPY%' AND datname = current_database()"
                    rows(other, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {here}")
                yield each

    many = Ending(offer(f"i{number}", 2.0) for number in range(50_000))
    with pytest.raises(Unavailable), transaction(engine) as connection:
        stage(connection, many, Pseudonyms("weir"))
    owner.flush([offer("c", 3.0)])
    assert set(held(engine)) == {"a", "c"}
    other.dispose()
