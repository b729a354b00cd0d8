"""Evaluate the stream for drift: complete blocks from Postgres to the tests, states and alarms back."""

from functools import partial
from time import monotonic

from importance.drift.evaluation import evaluate
from importance.errors import Unavailable
from storage.engine import Engine
from weir.process import logs
from weir.settings import Settings
from weir.settings.drift import drift_monitors, drift_reader

_log = logs.logger(__name__)
_POLL_SECONDS = 2.0  # a block is an hour of event time by default; a fast replay fills one within seconds
_RETRY_SECONDS = 300.0


class DriftWatch:
    """Evaluates what is complete, at most every two seconds; any number of processes may do so, each block once.

    What cannot be evaluated is logged and tried again minutes later: it must not keep the trainer from training.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._drift = drift_reader(settings, engine)
        self._evaluate = partial(evaluate, drift_monitors(settings))
        self._on = settings.drift == "on"
        self._next = monotonic()
        self._alarmed: float | None = None

    def poll(self) -> float | None:
        """Evaluate some blocks, log the alarms, and return when the last one was recorded; None before the first.

        Raises Unavailable.
        """
        if self._on and monotonic() >= self._next:
            try:
                pause = self._evaluate_some()
            except Unavailable:
                raise
            except Exception:  # of any kind: a row that cannot be read, a test that fails on it
                _log.exception("drift is not evaluated", retry_seconds=_RETRY_SECONDS)
                pause = _RETRY_SECONDS
            self._next = monotonic() + pause
        return self._alarmed

    def _evaluate_some(self) -> float:
        """Evaluate what one transaction takes; return the seconds until the next attempt, 0 where more may be due."""
        evaluated = self._drift.evaluate(self._evaluate)
        if evaluated is not None and evaluated.skipped_rows:
            _log.warning("drift sums of another release skipped", rows=evaluated.skipped_rows)
        for alarm in evaluated.alarms if evaluated is not None else ():
            _log.warning(
                "drift", test=alarm.test, feature=alarm.feature, segment=alarm.segment, version=alarm.version,
                statistic=round(alarm.statistic, 6), threshold=round(alarm.threshold, 6), block_ms=alarm.block_ms,
            )  # fmt: skip
        last = self._drift.last_alarm()
        self._alarmed = None if last is None else last.timestamp()
        return _POLL_SECONDS if evaluated is None else 0.0
