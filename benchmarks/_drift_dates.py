"""The days on which the service's monitors raise an alarm over a shop's stream; without Kafka and Postgres.

The stream is joined, scored, summed and tested by the service's own parts and settings. The first version stays active:
no promotion starts a reference again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from datasets import open_dataset
from importance.attribution import replay_partition
from importance.drift.block import Block
from importance.drift.evaluation import evaluate
from importance.drift.registry import Monitor
from trainer.device import choose, use_threads
from trainer.scorer import Scorer, ScoringConfig
from weir.learning.first_version import build_first
from weir.settings import Settings, values
from weir.settings.drift import drift_sketch

DAY_MS = 86_400_000
_AT_ONCE = 1_000
Blocks = dict[int, dict[str, dict[tuple[str, str], Block]]]
"""Start of a block in event time → version → (feature, segment) → sums."""


def samples_and_blocks(name: str, settings: Settings) -> tuple[int, Blocks]:
    """Make the first version of a data set's history as ``weir models init`` does, and sum the stream as workers do."""
    use_threads(settings.threads)
    data = open_dataset(name, settings.seed, settings.data_dir, settings.home)
    records = [(offset, record.time_ms, record.value) for offset, record in enumerate(data.events())]
    samples = replay_partition(records, values.join(settings), until_ms=2**62).samples
    config = ScoringConfig(
        values.mixture(settings), settings.top_fraction, positive_from=values.positive_from(settings), embeddings=True
    )
    scorer, sketch = Scorer(config, choose(settings.device), settings.score_batch), drift_sketch(settings)
    with TemporaryDirectory(prefix="weir-drift-") as directory:
        first = build_first(settings, lambda: list(data.history()), Path(directory), lambda _what, _done, _total: None)
        scorer.swap("v1", first.directory)
    summed = Blocks()
    for start in range(0, len(samples), _AT_ONCE):
        part = samples[start : start + _AT_ONCE]
        for key, block in sketch(part, scorer.score(part)).items():
            _add(summed, key.block_ms, key.version, (key.feature, key.segment), block)
    return len(samples), summed


def by_day(hourly: Blocks) -> Blocks:
    """Add the blocks of each day."""
    daily = Blocks()
    for start_ms, by_version in hourly.items():
        for version, sums in by_version.items():
            for key, block in sums.items():
                _add(daily, start_ms // DAY_MS * DAY_MS, version, key, block)
    return daily


def alarm_days(monitors: Sequence[Monitor], summed: Blocks) -> list[str]:
    """For each monitor the number of its alarms, and the days of the blocks that completed the checks."""
    alarms = evaluate(monitors, (), dict(sorted(summed.items()))).alarms
    found = []
    for monitor in monitors:
        own = [alarm.block_ms for alarm in alarms if (alarm.test, alarm.feature) == (monitor.test, monitor.feature)]
        days = ", ".join(f"{_time(block_ms):%-d %b}" for block_ms in own)
        found.append(f"{len(own)}: {days}" if own else "0")
    return found


def _add(summed: Blocks, start_ms: int, version: str, key: tuple[str, str], block: Block) -> None:
    sums = summed.setdefault(start_ms, {}).setdefault(version, {})
    sums[key] = sums[key] + block if key in sums else block


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1_000, UTC)
