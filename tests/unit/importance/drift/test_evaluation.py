"""The order, the versions and the states of an evaluation; which test finds what is each detector's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec
import numpy as np

from importance.drift.block import Block
from importance.drift.detector import State, Verdict
from importance.drift.evaluation import Evaluation, evaluate
from importance.drift.label_shift import LabelShift
from importance.drift.registry import Monitor
from importance.drift.sketch_key import ALL
from importance.drift.two_sample import TwoSampleState

HOUR_MS = 3_600_000


class Seen(State, frozen=True, tag="recorder"):
    counts: tuple[int, ...] = ()
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorder:
    """Keeps what it is given; checks from the second block on, and alarms at a block of ``alarm_at`` samples."""

    name: ClassVar[str] = "recorder"
    alarm_at: int = 99

    def start(self) -> Seen:
        return Seen()

    def update(self, state: Seen, block: Block, seed: int) -> tuple[Seen, Verdict | None]:
        after = Seen((*state.counts, block.count), (*state.seeds, seed))
        if not state.counts:
            return after, None
        alarm = block.count == self.alarm_at
        return (self.start() if alarm else after), Verdict(float(block.count), 1.0, 0.5, alarm)


TEST = Monitor(Recorder(), "loss")


def hours(*given: Mapping[str, int], segment: str = ALL) -> dict[int, dict[str, dict[tuple[str, str], Block]]]:
    """Hour by hour, version → number of samples."""
    return {
        hour * HOUR_MS: {
            version: {("loss", segment): Block(count, np.array([float(count)]))} for version, count in each.items()
        }
        for hour, each in enumerate(given)
    }


def seen(evaluation: Evaluation) -> tuple[int, ...]:
    (state,) = evaluation.states
    return msgspec.json.decode(state.state, type=Seen).counts


def test_blocks_are_given_in_order_and_the_last_check_is_kept() -> None:
    found = evaluate([TEST], (), hours({"v1": 3}, {"v1": 4}, {"v1": 5}))
    (state,) = found.states
    assert seen(found) == (3, 4, 5)
    assert (state.statistic, state.threshold, state.p_value, state.checked_ms) == (5.0, 1.0, 0.5, 2 * HOUR_MS)
    assert (state.test, state.feature, state.segment, state.version, state.alarms) == ("recorder", "loss", ALL, "v1", 0)


def test_another_version_starts_the_reference_again() -> None:
    found = evaluate([TEST], (), hours({"v1": 3}, {"v1": 4}, {"v2": 5}))
    (state,) = found.states
    assert (seen(found), state.version, state.statistic) == ((5,), "v2", None)


def test_a_block_that_two_versions_scored_is_left_out() -> None:
    assert seen(evaluate([TEST], (), hours({"v1": 3}, {"v1": 4, "v2": 1}, {"v1": 5}))) == (3, 5)


def test_alarms_are_counted_over_restarts_and_versions() -> None:
    first = evaluate([TEST], (), hours({"v1": 3}, {"v1": 99}, {"v1": 4}))
    (alarm,) = first.alarms
    assert (alarm.block_ms, alarm.test, alarm.feature, alarm.version) == (HOUR_MS, "recorder", "loss", "v1")
    assert seen(first) == (4,)
    second = evaluate([TEST], first.states, hours({"v2": 1}))
    assert second.alarms == []
    assert [state.alarms for state in second.states] == [1]


def test_a_detector_of_another_configuration_starts_again() -> None:
    first = evaluate([TEST], (), hours({"v1": 3}))
    same = evaluate([Monitor(Recorder(), "loss")], first.states, hours({"v1": 4}))
    other = evaluate([Monitor(Recorder(alarm_at=5), "loss")], first.states, hours({"v1": 4}))
    assert (seen(same), seen(other)) == ((3, 4), (4,))


def test_each_segment_has_a_state_of_its_own_and_what_is_not_tested_any_more_keeps_its_state() -> None:
    first = evaluate([TEST], (), hours({"": 3}) | {HOUR_MS: hours({"": 7}, segment="country=France")[0]})
    assert {state.segment: state.statistic for state in first.states} == {ALL: None, "country=France": None}
    assert evaluate([], first.states, hours({"": 1})).states == first.states


def test_a_seed_is_of_feature_segment_and_block_and_of_nothing_else() -> None:
    def seeds(evaluation: Evaluation) -> list[tuple[int, ...]]:
        return [msgspec.json.decode(state.state, type=Seen).seeds for state in evaluation.states]

    whole = evaluate([TEST], (), hours({"v1": 3}, {"v1": 4}))
    parts = evaluate(
        [TEST], evaluate([TEST], (), hours({"v1": 3})).states, {HOUR_MS: hours({"v1": 9}, {"v1": 4})[HOUR_MS]}
    )
    assert seeds(whole) == seeds(parts)
    assert len({seed for each in seeds(whole) for seed in each}) == 2


def shifted(segments: int, moved: int, hours: int = 40) -> dict[int, dict[str, dict[tuple[str, str], Block]]]:
    """Outcomes of every segment, hour by hour; in the last ten those of ``moved`` segments change a little."""
    source = np.random.default_rng(3)
    found: dict[int, dict[str, dict[tuple[str, str], Block]]] = {}
    for hour in range(hours):
        sums: dict[tuple[str, str], Block] = {}
        for segment in range(segments):
            rate = 0.319 if hour >= hours - 10 and segment < moved else 0.3
            clicks = source.binomial(400, rate)
            sums["outcome", f"country={segment}"] = Block(400, np.array([400.0 - clicks, 0, 0, clicks, 0, 0]))
        found[hour * HOUR_MS] = {"": sums}
    return found


def test_of_many_segments_only_discoveries_are_alarms_and_the_others_keep_their_references() -> None:
    detector = LabelShift(expected_run_blocks=200, reference_blocks=30, window_blocks=10, stride=10, min_samples=1)
    monitor = Monitor(detector, "outcome")
    alone = evaluate([monitor], (), shifted(1, 1))
    assert [alarm.segment for alarm in alone.alarms] == ["country=0"]
    p_value = next(state.p_value for state in alone.states)
    assert p_value is not None
    assert detector.alpha / 30 < p_value <= detector.alpha  # an alarm by itself, and no discovery among thirty

    among = evaluate([monitor], (), shifted(30, 1))
    withdrawn = [state for state in among.states if state.p_value is not None and state.p_value <= detector.alpha]
    assert withdrawn
    assert among.alarms == []
    for state in withdrawn:
        kept = msgspec.json.decode(state.state, type=TwoSampleState)
        assert (len(kept.reference), len(kept.window), state.alarms) == (30, 10, 0)
    strong = evaluate([monitor], (), shifted(30, 30))
    assert len(strong.alarms) > 10
