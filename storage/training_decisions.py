"""The trainer's decisions: the state at a poll, the trigger that fired, or what held all of them back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from storage import tables
from storage.engine import transaction

KEPT: Final = 50_000
"""The latest decisions: five weeks of a stream that never rests."""
_PRUNED_EVERY: Final = 1_000


@dataclass(frozen=True, slots=True)
class TrainingDecision:
    """One decision. ``time`` in seconds since the epoch; ``trigger`` is None where no run was started.

    ``held_back`` says what kept all triggers from starting one; both are None where none of them fired.
    """

    time: float
    trigger: str | None
    held_back: str | None
    state: Mapping[str, Any]
    policy: Mapping[str, Any]


class TrainingDecisions:
    """The table, of which the latest `KEPT` rows stay."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, decision: TrainingDecision) -> None:
        """Append a decision."""
        row = tables.training_decisions
        values = {name: getattr(decision, name) for name in TrainingDecision.__slots__}
        with transaction(self._engine) as connection:
            number = connection.scalar(sa.insert(row).values(values).returning(row.c.id)) or 0
            if number % _PRUNED_EVERY == 0:
                connection.execute(sa.delete(row).where(row.c.id <= number - KEPT))

    def latest(self, count: int) -> list[TrainingDecision]:
        """Return the last decisions, newest first."""
        row = tables.training_decisions
        columns = (getattr(row.c, name) for name in TrainingDecision.__slots__)
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(*columns).order_by(row.c.id.desc()).limit(count)).all()
        return [TrainingDecision(**each._asdict()) for each in found]

    def last(self) -> TrainingDecision | None:
        """Return the last decision; None before the first."""
        return next(iter(self.latest(1)), None)
