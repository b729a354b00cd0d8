"""The comparisons of training on selected samples with training on uniform ones, one a run that made both."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from importance.control_arm import Compared
from storage import tables
from storage.engine import transaction


@dataclass(frozen=True, slots=True)
class Recorded:
    """A comparison as it was recorded, of training run ``run``; ``time`` is the database's.

    ``uniform_only``: the candidate was trained on uniform samples, and the other arm on selected ones.
    """

    run: int
    time: datetime
    compared: Compared
    uniform_only: bool


class ControlArm:
    """The table of comparisons."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, run: int, compared: Compared, uniform_only: bool) -> None:
        """Record the comparison of a run."""
        values = {
            "run": run,
            "difference": compared.difference,
            "standard_error": compared.standard_error,
            "uniform_only": uniform_only,
        }
        with transaction(self._engine) as connection:
            connection.execute(sa.insert(tables.control_arm).values(values))

    def all(self) -> Sequence[Recorded]:
        """Return all comparisons, oldest first: one a handful of runs, so there are few."""
        row = tables.control_arm
        with transaction(self._engine) as connection:
            found = connection.execute(sa.select(row).order_by(row.c.run)).all()
        return [Recorded(x.run, x.time, Compared(x.difference, x.standard_error), x.uniform_only) for x in found]
