"""What a snapshot sums up: samples, trainings, promotions and weekly AUC."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isnan, nan

import pytest

from importance.scores import BASELINE, SERVING
from storage.buffer_reader import BufferStats
from storage.progress import Position
from storage.registry import Entry, Kind
from storage.runs import Run
from weir.status.snapshot import PredictionMetrics, Snapshot, Week, mean_auc

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def snapshot(samples: Sequence[int] = (), runs: Sequence[Run] = (), kinds: Sequence[Kind] = ()) -> Snapshot:
    positions = tuple(Position(number, 1, 1, 1, count, None) for number, count in enumerate(samples))
    log = tuple(Entry(number, kind, None, "v1", "ann", "better", NOW) for number, kind in enumerate(kinds, 1))
    return Snapshot(positions, BufferStats(0, 0, 0.0, ()), None, (), log, tuple(runs), {"all": WEEKS}, {})


def run(samples: int | None, result: str | None) -> Run:
    """A training that started at so many samples."""
    inputs = {} if samples is None else {"samples": samples}
    return Run(1, "amount", inputs, NOW, NOW if result else None, result, (), None)


def week(monday: str, **auc: float) -> Week:
    return Week(monday, {name: PredictionMetrics(100, value, 0.5, 0.1) for name, value in auc.items()})


WEEKS = (
    week("2011-01-03", **{SERVING: 0.6, BASELINE: 0.6}),
    week("2011-01-10", **{SERVING: nan, BASELINE: 0.5}),  # one class only
    week("2011-01-17", **{BASELINE: 0.4}),
    week("2011-01-24", **{SERVING: 0.8}),
)


@pytest.mark.parametrize(
    ("predictor", "since", "mean"),
    [
        (SERVING, "", (0.6 + 0.8) / 2),
        (SERVING, "2011-01-04", 0.8),
        (SERVING, "2011-01-24", 0.8),
        (BASELINE, "", (0.6 + 0.5 + 0.4) / 3),
        (BASELINE, "2011-01-10", (0.5 + 0.4) / 2),
    ],
)
def test_the_mean_is_over_the_weeks_that_have_an_auc(predictor: str, since: str, mean: float) -> None:
    assert mean_auc(WEEKS, predictor, since) == pytest.approx(mean)
    assert snapshot().mean_auc(predictor, since=since) == pytest.approx(mean)


def test_without_a_week_there_is_no_mean() -> None:
    assert isnan(mean_auc(WEEKS, SERVING, since="2011-01-25"))
    assert isnan(mean_auc(WEEKS, "reference"))
    assert isnan(snapshot().mean_auc(SERVING, "known"))


@pytest.mark.parametrize(
    ("runs", "untrained"),
    [
        ([], 1_000),
        ([run(900, None)], 100),
        ([run(900, "promoted"), run(500, "promoted")], 100),
        ([run(900, "rejected")], 100),
        ([run(900, "failed"), run(500, "rejected")], 500),  # what failed has learned nothing
        ([run(None, "promoted")], 1_000),
    ],
)
def test_samples_are_untrained_since_the_last_training_that_learned_or_runs(runs: list[Run], untrained: int) -> None:
    assert snapshot([600, 400], runs).untrained == untrained


def test_trainings_are_counted_by_result() -> None:
    runs = [run(9, None), run(8, "promoted"), run(7, "rejected"), run(6, "rejected")]
    assert snapshot(runs=runs).results == {"running": 1, "promoted": 1, "rejected": 2}


def test_the_first_version_is_no_promotion_and_neither_is_a_rollback() -> None:
    assert snapshot().promotions == 0
    assert snapshot(kinds=[Kind.PROMOTE]).promotions == 0
    assert snapshot(kinds=[Kind.PROMOTE, Kind.PROMOTE, Kind.ROLLBACK, Kind.UNFREEZE, Kind.PROMOTE]).promotions == 2
