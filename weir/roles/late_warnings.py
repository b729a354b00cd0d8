"""Warn of impressions that came too late: at once, then at most once a minute and partition. The clock is passed in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from importance.decisions import LateImpression
from weir.process import logs

_log = logs.logger(__name__)
_EVERY_SECONDS = 60.0


@dataclass
class _Partition:
    """What came too late since the last warning."""

    warned: float
    count: int = 0
    event_time_ms: int = 0
    max_ms: int = 0
    has_letters: bool = False


class LateWarnings:
    """The warnings of one worker. ``clock`` returns seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._partitions: dict[int, _Partition] = {}

    def add(self, partition: int, late: Sequence[LateImpression], has_letters: bool) -> None:
        """Add what came too late, as dead letters or not; warn if the partition's last warning is a minute old."""
        if not late:
            return
        state = self._partitions.setdefault(partition, _Partition(self._clock() - _EVERY_SECONDS))
        state.count += len(late)
        state.has_letters = has_letters
        state.event_time_ms = late[-1].event_time_ms
        state.max_ms = max(state.max_ms, *(record.event_time_ms - record.own_ms for record in late))
        self._warn(partition, state)

    def tick(self) -> None:
        """Warn of what was held back, where the minute is over."""
        for partition, state in self._partitions.items():
            self._warn(partition, state)

    def _warn(self, partition: int, state: _Partition) -> None:
        if state.count and self._clock() - state.warned >= _EVERY_SECONDS:
            remedy = "see weir dead-letters redrive --reason late" if state.has_letters else "see WEIR_LATE"
            _log.warning(
                f"impressions came too late: {remedy}",
                partition=partition, count=state.count, event_time=_text(state.event_time_ms),
                late_seconds=state.max_ms / 1_000,
            )  # fmt: skip
            state.warned, state.count, state.max_ms = self._clock(), 0, 0


def _text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(timespec="seconds")
