"""Slow a replay down to the speed of training: in a demonstration months of events pass in minutes.

In a real shop the samples of one training arrive over days, and a training takes seconds. The replay waits for each
training, so that a slow machine trains as often as a fast one.
"""

from storage.runs import LEARNED
from weir.demo.state import State

TRAINING_TIMEOUT_SECONDS = 120.0  # the longest wait for a training that is due and has not succeeded
# A training is due after some 1,500 samples. Records in flight when that is noticed are added to it, so keep them few.
_LAG_RECORDS = 500  # the replay waits while more records are undecided and some of them unread
_POLL_RECORDS = 250  # and when so many were sent since the last poll


class Pacing:
    """Decides when the replay must wait; a training is due after ``train_after`` new samples."""

    def __init__(self, train_after: int) -> None:
        self._train_after = train_after
        self._held = False
        self._since: float | None = None  # when a training became due; None while none is
        self._learned = 0
        self._sent = self._sent_at_poll = 0
        self.is_busy = False
        """Whether a training is running, or due and not timed out."""

    def holds(self) -> bool:
        """Return whether the replay must wait."""
        return self._held or self._sent - self._sent_at_poll >= _POLL_RECORDS

    def sent(self, records: int) -> None:
        """Record how many records the replay has sent so far."""
        self._sent = records

    def update(self, state: State, now: float) -> None:
        """Decide again by the current state; ``now`` in seconds. Waiting for a training that fails has a timeout."""
        runs = state.shared.runs
        is_running = bool(runs) and runs[0].ended is None
        is_due = not state.frozen and state.untrained >= self._train_after
        learned = sum(run.result in LEARNED for run in runs)
        if learned != self._learned or not (is_due or is_running):
            self._since = None
        self._learned = learned
        if is_due and self._since is None:
            self._since = now
        is_timely = self._since is not None and now - self._since < TRAINING_TIMEOUT_SECONDS
        is_awaited = is_due and (is_running or is_timely)
        self.is_busy = is_running or is_awaited
        # One window of a busy stream may hold more undecided records than that: it lags only if some are unread.
        self._held = (state.undecided > _LAG_RECORDS and state.unread > 0) or is_awaited
        self._sent_at_poll = self._sent
