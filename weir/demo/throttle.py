"""Keep a replay behind the learner: in a demonstration months pass in minutes, and training must keep up.

In a real shop the samples of one training come in days, and a training takes seconds; so that a slow machine trains as
often as a fast one, the replay waits.
"""

from storage.runs import LEARNED
from weir.demo.state import State

PATIENCE_SECONDS = 120.0  # a training that has not come to anything by then is not waited for any longer
# A training is due after some 1,500 samples, and what is on its way when that is seen comes on top: so little may be.
_LAG_RECORDS = 500  # the replay is held while more records are not decided, of which some are not even read
_LOOK_RECORDS = 250  # and when so many were sent since the last look


class Pacing:
    """When the replay must wait, and when there is nothing left to wait for; ``train_after`` samples make one due."""

    def __init__(self, train_after: int) -> None:
        self._train_after = train_after
        self._held = False
        self._since: float | None = None  # when a training became due; None while none is
        self._learned = 0
        self._sent = self._sent_at_look = 0
        self.is_busy = False
        """Whether a training goes on, or is due and worth waiting for."""

    def holds(self) -> bool:
        """Whether the replay must wait."""
        return self._held or self._sent - self._sent_at_look >= _LOOK_RECORDS

    def sent(self, records: int) -> None:
        """Take note of how many records the replay has sent by now."""
        self._sent = records

    def see(self, state: State, now: float) -> None:
        """Decide anew; ``now`` in seconds. A training that does not come, or only ever fails, is given up."""
        runs = state.shared.runs
        goes_on = bool(runs) and runs[0].ended is None
        is_due = not state.frozen and state.untrained >= self._train_after
        learned = sum(run.result in LEARNED for run in runs)
        if learned != self._learned or not (is_due or goes_on):
            self._since = None
        self._learned = learned
        if is_due and self._since is None:
            self._since = now
        is_hoped_for = self._since is not None and now - self._since < PATIENCE_SECONDS
        is_awaited = is_due and (goes_on or is_hoped_for)
        self.is_busy = goes_on or is_awaited
        # Where one window of a busy stream holds more than that, only records that nobody read are a lag.
        self._held = (state.undecided > _LAG_RECORDS and state.unread > 0) or is_awaited
        self._sent_at_look = self._sent
