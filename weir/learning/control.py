"""The control arm of training runs: which run makes both arms, and whether selection has fallen back to uniform."""

from dataclasses import dataclass

from importance.control_arm import Compared, fallen_back
from storage.control_arm import ControlArm
from storage.runs import LEARNED, Runs
from weir.process import logs
from weir.settings import Settings

_log = logs.logger(__name__)


@dataclass(frozen=True, slots=True)
class Arms:
    """What a run trains on: ``uniform_only``, the uniform stratum; ``compares``, the other arm too."""

    uniform_only: bool
    compares: bool


class Control:
    """Plans the arms of a run by the comparisons that were recorded, and records its own."""

    def __init__(self, settings: Settings, runs: Runs, table: ControlArm) -> None:
        self._every = settings.control_every
        self._falls_back = settings.selection_fallback == "on"
        self._runs = runs
        self._table = table

    def plan(self, uniform_rows: int) -> Arms:
        """Return the arms of the run that starts; without a control arm, or rows for it, nothing falls back."""
        if not self._every or not uniform_rows:
            return Arms(uniform_only=False, compares=False)
        recorded = self._table.all()
        last = recorded[-1].run if recorded else 0
        since = [run for run in self._runs.latest(self._every, LEARNED) if run.id > last]
        uniform_only = self._falls_back and fallen_back([each.compared for each in recorded])
        if uniform_only:
            _log.warning("selection has fallen back: this run trains on uniform samples; see weir selection show")
        return Arms(uniform_only, compares=len(since) >= self._every - 1)

    def record(self, run: int, arms: Arms, compared: Compared | None) -> None:
        """Record the comparison of a run: of its candidate with the other arm, None where there was nothing to."""
        if compared is None:
            return
        sign = -1 if arms.uniform_only else 1
        difference = Compared(sign * compared.difference, compared.standard_error)
        self._table.add(run, difference, arms.uniform_only)
        _log.info(
            "control arm", run=run, difference=round(difference.difference, 5),
            standard_error=round(difference.standard_error, 5),
            candidate="uniform" if arms.uniform_only else "selected",
        )  # fmt: skip
