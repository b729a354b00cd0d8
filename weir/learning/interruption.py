"""Why a fine-tune ends before its last step: its trainer is told to stop, or nothing can come of it any more."""

from dataclasses import dataclass, field
from threading import Event

from importance.errors import Unavailable
from storage.registry import Active
from storage.runs import RunResult
from weir.learning.records import Outcome
from weir.learning.shadow_watch import ShadowWatch


@dataclass(eq=False, slots=True)
class Interruption:
    """Asked before each step whether to end; a bad version that serves meanwhile does not wait for the last one.

    ``active`` is what the run found at its start, ``trusted`` what it starts from and is judged by.
    """

    watch: ShadowWatch
    stop: Event
    active: Active
    trusted: Active
    _superseded: str | None = field(default=None, init=False)

    def __call__(self) -> bool:
        """Return whether to end before the next step; the fine-tune continues where Postgres does not answer."""
        try:
            if self.watch.poll_between_steps():
                self._superseded = self.watch.superseded(self.active, self.trusted)
        except Unavailable:
            pass
        return self._superseded is not None or self.stop.is_set()

    @property
    def outcome(self) -> Outcome:
        """How the run ends whose fine-tune was ended."""
        if self._superseded is not None:
            return Outcome(RunResult.SUPERSEDED, self._superseded)
        return Outcome(RunResult.INTERRUPTED, "told to stop")
