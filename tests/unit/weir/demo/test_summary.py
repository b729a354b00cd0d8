"""The final object of ``weir up --once --json``."""

import json
from math import nan

from importance.scores import BASELINE, REFERENCE, SERVING
from storage.buffer_reader import BufferStats
from storage.progress import Position
from weir.demo.state import State
from weir.demo.summary import summary
from weir.status.snapshot import PredictionMetrics, Snapshot, Week


def week(monday: str, samples: int, **auc: float) -> Week:
    return Week(monday, {name: PredictionMetrics(samples, value, 0.5, 0.1) for name, value in auc.items()})


def state(*weeks: Week) -> State:
    positions = (Position(0, 1, 1, 1, 700, None), Position(1, 1, 1, 1, 300, None))
    shared = Snapshot(positions, BufferStats(400, 390, 12.5, ()), None, (), (), (), {"all": weeks}, {})
    return State(shared, events=1_700, undecided=0, dead_letters=3)


def test_the_second_half_of_the_weeks_has_means_of_its_own() -> None:
    weeks = [
        week("2011-01-03", 100, **{SERVING: 0.5, BASELINE: 0.5}),
        week("2011-01-10", 200, **{SERVING: 0.75, BASELINE: 0.5}),
        week("2011-01-17", 300, **{SERVING: 1.0}),
    ]
    auc = summary(state(*weeks), 1.0, {})["auc"]
    assert isinstance(auc, dict)
    assert (auc[SERVING], auc[BASELINE], auc[REFERENCE], auc["samples"]) == (0.75, 0.5, None, 600)
    assert auc["second_half"] == {"since": "2011-01-10", SERVING: 0.875, BASELINE: 0.5, REFERENCE: None}


def test_a_run_without_weeks_is_valid_json_without_numbers_that_are_not_finite() -> None:
    for weeks in ((), (week("2011-01-03", 100, **{SERVING: nan}),)):
        found = json.loads(json.dumps(summary(state(*weeks), 12.34, {"training": 5.0}), allow_nan=False))
        assert (found["events"], found["samples"], found["dead_letters"], found["seconds"]) == (1_700, 1_000, 3, 12.3)
        assert (found["buffer_items"], found["buffer_capacity"], found["cpu_seconds"]) == (390, 400, {"training": 5.0})
        assert found["training_runs"] == {}
