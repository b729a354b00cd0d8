"""An operator's wish that the model be trained, kept until a trainer takes it up. At most one waits."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import time

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from importance.errors import Conflict
from storage import tables
from storage.engine import transaction


class Requests:
    """The wish, a row that is there or not. ``clock`` gives seconds since the epoch."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time) -> None:
        self._engine = engine
        self._clock = clock

    def ask(self, actor: str) -> bool:
        """Ask for a training. False when one is waited for already; Conflict while training is frozen."""
        row = tables.training_requests
        wish = insert(row).values(singleton=True, actor=actor, time=datetime.fromtimestamp(self._clock(), UTC))
        with transaction(self._engine) as connection:
            if connection.scalar(sa.select(tables.pointer.c.frozen).with_for_update(read=True)):
                raise Conflict("training is frozen: run 'weir models unfreeze' first")
            return bool(connection.execute(wish.on_conflict_do_nothing()).rowcount)

    def waits(self) -> bool:
        """Whether a training was asked for."""
        with transaction(self._engine) as connection:
            return connection.scalar(sa.select(tables.training_requests.c.singleton)) is not None

    def take(self) -> None:
        """Take the wish up: a training begins that sees all that is stored by now."""
        with transaction(self._engine) as connection:
            connection.execute(sa.delete(tables.training_requests))
