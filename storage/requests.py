"""An operator's request to train the model, kept until a run was completed. At most one waits."""

from collections.abc import Callable
from datetime import UTC, datetime
from time import time

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from importance.errors import Conflict
from storage import audit, tables
from storage.audit import Action, Author, Via
from storage.engine import transaction
from storage.lock import Right, held_by_anyone

# A run without an end is running only while some trainer has the right to train: else its trainer died.
_IS_RUNNING = sa.select(sa.exists().where(tables.training_runs.c.ended.is_(None)) & held_by_anyone(Right.TRAIN))


class Requests:
    """The request, a row that exists or not; `Runs.finish` deletes it.

    ``clock`` gives seconds since the epoch; ``via`` is recorded with each request.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], float] = time, via: Via = Via.CLI) -> None:
        self._engine = engine
        self._clock = clock
        self._via = via

    def ask(self, actor: str, reason: str = "") -> bool:
        """Ask for a training; who asked and why is kept.

        False when one waits or runs already, but the request is kept until that run was completed; Conflict
        while training is frozen.
        """
        row = tables.training_requests
        request = insert(row).values(
            singleton=True, actor=actor, reason=reason, time=datetime.fromtimestamp(self._clock(), UTC)
        )
        with transaction(self._engine) as connection:
            if connection.scalar(sa.select(tables.pointer.c.frozen).with_for_update(read=True)):
                raise Conflict("training is frozen: run 'weir models unfreeze' first")
            is_new = connection.scalar(request.on_conflict_do_nothing().returning(sa.true())) is not None
            if is_new:
                audit.record(connection, Author(actor, self._via, reason), Action.TRAIN)
            return is_new and not connection.scalar(_IS_RUNNING)

    def waits(self) -> bool:
        """Return whether a training was asked for."""
        with transaction(self._engine) as connection:
            return connection.scalar(sa.select(tables.training_requests.c.singleton)) is not None
