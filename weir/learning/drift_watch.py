"""Evaluate the stream for drift: complete blocks from Postgres to the tests, states and alarms back."""

from functools import partial
from time import monotonic

from importance.drift.evaluation import evaluate
from storage.engine import Engine
from weir.process import logs
from weir.settings import Settings
from weir.settings.drift import drift_monitors, drift_reader

_log = logs.logger(__name__)
_POLL_SECONDS = 2.0  # a block is an hour of event time by default; a fast replay fills one within seconds


class DriftWatch:
    """Evaluates what is complete, at most every two seconds; any number of processes may do so, each block once."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._drift = drift_reader(settings, engine)
        self._evaluate = partial(evaluate, drift_monitors(settings))
        self._on = settings.drift == "on"
        self._next = monotonic()
        self._alarmed: float | None = None

    def poll(self) -> float | None:
        """Evaluate, log the alarms, and return when the last one was recorded; None before the first.

        Raises Unavailable.
        """
        if self._on and monotonic() >= self._next:
            for alarm in self._drift.evaluate(self._evaluate):
                _log.warning(
                    "drift", test=alarm.test, feature=alarm.feature, segment=alarm.segment, version=alarm.version,
                    statistic=round(alarm.statistic, 6), threshold=round(alarm.threshold, 6), block_ms=alarm.block_ms,
                )  # fmt: skip
            last = self._drift.last_alarm()
            self._alarmed = None if last is None else last.timestamp()
            self._next = monotonic() + _POLL_SECONDS
        return self._alarmed
