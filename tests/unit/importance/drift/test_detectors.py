"""One suite over every detector: laws that do not depend on what is tested, and that all of them keep."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from importance.arrays import Floats
from importance.drift.block import Block
from importance.drift.detector import Detector, State, Verdict, read_state, write_state
from importance.drift.registry import Monitor, Spans, monitors
from importance.drift.two_sample import TwoSample
from importance.errors import InvalidInput
from importance.sample import Outcome

SAMPLES = 100
MAX_STATE_BYTES = 100_000


def shares(weights: Sequence[float]) -> Floats:
    """Weights made to sum to 1."""
    return np.array(weights) / sum(weights)


def text(names: Sequence[str], random: np.random.Generator, count: int, weights: Sequence[float]) -> list[str]:
    """Names, drawn by weight."""
    return [names[index] for index in random.choice(len(names), count, p=shares(weights))]


DRAWS: dict[str, Callable[[np.random.Generator, int, float], Any]] = {
    "loss": lambda random, n, shift: random.gamma(2, 0.25, n) * (1 + 0.3 * shift),
    "click_rate": lambda random, n, shift: random.binomial(1, 0.1 * (1 + shift), n).astype(float),
    "mean_importance": lambda random, n, shift: random.lognormal(0.5 * shift, 1, n),
    "importance": lambda random, n, shift: random.lognormal(0.5 * shift, 1, n),
    "prediction": lambda random, n, shift: random.beta(1 + shift, 10, n),
    "text_length": lambda random, n, shift: np.ceil(60 * random.lognormal(0.5 * shift, 0.5, n)),
    "price": lambda random, n, shift: random.lognormal(2.5 + 0.5 * shift, 1, n),
    "category": lambda random, n, shift: text("abcdefgh", random, n, [1 + 2 * shift] + [1] * 7),
    "embedding": lambda random, n, shift: random.standard_normal((n, 8)) + np.eye(8)[0] * (2 + 0.5 * shift),
    "outcome": lambda random, n, shift: text(list(Outcome), random, n, [90, 1, 1, 5 + 5 * shift, 2, 1]),
}
"""Values of n samples of each feature; ``shift`` moves their distribution."""


@dataclass(frozen=True)
class Case:
    """A monitor, and streams of blocks that it can read."""

    monitor: Monitor

    @property
    def detector(self) -> Detector[Any]:
        """Its detector."""
        return self.monitor.detector

    @property
    def dimensions(self) -> int:
        """The number of sums in a block."""
        return self.monitor.source.feature.dimensions

    def blocks(self, count: int, seed: int, shift: float = 0.0) -> list[Block]:
        """Stationary blocks of 100 samples, of a distribution moved by ``shift``."""
        values = DRAWS[self.monitor.feature](np.random.default_rng(seed), count * SAMPLES, shift)
        return list(self.monitor.source.feature.blocks(values, np.repeat(np.arange(count), SAMPLES)).values())

    def constant(self, count: int) -> list[Block]:
        """Blocks of equal samples, as many or more in each."""
        value = DRAWS[self.monitor.feature](np.random.default_rng(0), 1, 0.0)
        sizes = range(SAMPLES, SAMPLES + count)
        values = np.repeat(value, sum(sizes), axis=0) if isinstance(value, np.ndarray) else value * sum(sizes)
        return list(self.monitor.source.feature.blocks(values, np.repeat(np.arange(count), sizes)).values())


def quick(monitor: Monitor) -> Monitor:
    """The monitor with as few permutations as its expected run needs."""
    if isinstance(monitor.detector, TwoSample):
        return Monitor(replace(monitor.detector, permutations=999), monitor.feature)
    return monitor


CASES = [Case(quick(monitor)) for monitor in monitors(Spans(10_000, reference_blocks=40, window_blocks=20, stride=10))]
every_detector = pytest.mark.parametrize(
    "case", CASES, ids=[f"{case.monitor.test}-{case.monitor.feature}" for case in CASES]
)


def run(
    detector: Detector[Any], blocks: Iterable[Block], state: State | None = None
) -> tuple[State, list[Verdict | None]]:
    """The state after the blocks, and the verdict at each; the seed is the number of the block."""
    state, verdicts = detector.start() if state is None else state, []
    for seed, block in enumerate(blocks):
        state, verdict = detector.update(state, block, seed)
        verdicts.append(verdict)
    return state, verdicts


def alarms(verdicts: Sequence[Verdict | None]) -> list[int]:
    """The blocks at which a change was reported."""
    return [number for number, verdict in enumerate(verdicts) if verdict is not None and verdict.alarm]


@every_detector
def test_a_large_shift_raises_one_alarm_and_the_state_starts_again(case: Case) -> None:
    blocks = [*case.blocks(100, seed=1), *case.blocks(100, seed=2, shift=2.0)]
    state, verdicts = run(case.detector, blocks)
    [alarm] = alarms(verdicts)
    assert 100 <= alarm < 140
    assert run(case.detector, blocks[: alarm + 1])[0] == case.detector.start()
    assert state == run(case.detector, blocks[alarm + 1 :])[0]


@every_detector
def test_a_second_shift_raises_a_second_alarm(case: Case) -> None:
    shifts = (0.0, 2.0, 0.0)
    blocks = [block for seed, shift in enumerate(shifts, start=10) for block in case.blocks(150, seed, shift)]
    first, second = alarms(run(case.detector, blocks)[1])
    assert 150 <= first < 190
    assert 300 <= second < 340


@every_detector
def test_an_alarm_is_a_statistic_above_its_threshold(case: Case) -> None:
    blocks = [*case.blocks(100, seed=3), *case.blocks(100, seed=4, shift=2.0)]
    verdicts = [verdict for verdict in run(case.detector, blocks)[1] if verdict is not None]
    assert {verdict.alarm for verdict in verdicts} == {True, False}
    for verdict in verdicts:
        assert verdict.alarm == (verdict.statistic > verdict.threshold)
        assert np.isfinite([verdict.statistic, verdict.threshold]).all()
        assert verdict.statistic >= 0
        assert verdict.p_value is None or 0 < verdict.p_value <= 1


@every_detector
def test_a_stationary_stream_raises_no_alarm(case: Case) -> None:
    assert alarms(run(case.detector, case.blocks(300, seed=5))[1]) == []


@every_detector
def test_a_constant_raises_no_alarm(case: Case) -> None:
    assert alarms(run(case.detector, case.constant(200))[1]) == []


@every_detector
def test_too_little_data_has_no_verdict(case: Case) -> None:
    [block] = case.blocks(1, seed=6)
    empty = Block(0, np.zeros(case.dimensions))
    assert run(case.detector, [])[0] == case.detector.start()
    assert run(case.detector, [empty] * 100) == (case.detector.start(), [None] * 100)
    assert run(case.detector, [block])[1] == [None]


@every_detector
def test_empty_blocks_change_nothing(case: Case) -> None:
    empty = Block(0, np.zeros(case.dimensions))
    blocks = [*case.blocks(100, seed=7), *case.blocks(50, seed=8, shift=0.5)]
    between = [each for block in blocks for each in (block, empty)]
    state, verdicts = case.detector.start(), []
    for number, block in enumerate(between):
        state, verdict = case.detector.update(state, block, number // 2)
        verdicts.append(verdict)
    assert verdicts[::2] == run(case.detector, blocks)[1]
    assert verdicts[1::2] == [None] * len(blocks)


@every_detector
@pytest.mark.parametrize("stop", [1, 40, 99, 110])
def test_a_state_that_is_stored_and_read_back_changes_nothing(case: Case, stop: int) -> None:
    blocks = [*case.blocks(100, seed=9), *case.blocks(40, seed=10, shift=0.7)]
    state, seen = case.detector.start(), []
    for number, block in enumerate(blocks):
        if number == stop:
            state = read_state(case.detector, write_state(state))
        state, verdict = case.detector.update(state, block, number)
        seen.append(verdict)
    assert (state, seen) == run(case.detector, blocks)


@every_detector
def test_the_state_is_bounded(case: Case) -> None:
    state = case.detector.start()
    for block in case.blocks(500, seed=11):
        state, _ = case.detector.update(state, block, 0)
        assert len(write_state(state)) < MAX_STATE_BYTES


@every_detector
def test_partitions_merged_in_any_order_are_one_stream(case: Case) -> None:
    random = np.random.default_rng(12)
    parts = [list(case.blocks(150, seed=seed)) for seed in range(4)]
    one = [sum(blocks[1:], start=blocks[0]) for blocks in zip(*parts, strict=True)]
    mixed = []
    for blocks in zip(*parts, strict=True):
        order = [blocks[index] for index in random.permutation(4)]
        mixed.append((order[0] + order[1]) + (order[2] + order[3]))
    assert run(case.detector, mixed) == run(case.detector, one)


@every_detector
def test_an_update_does_not_change_the_state_or_the_block(case: Case) -> None:
    *before, last = case.blocks(80, seed=13)
    state, _ = run(case.detector, before)
    text, sums = write_state(state), last.sums.copy()
    first, second = case.detector.update(state, last, 7), case.detector.update(state, last, 7)
    assert first == second
    assert write_state(state) == text
    assert np.array_equal(last.sums, sums)


@every_detector
def test_a_block_of_another_feature_is_refused(case: Case) -> None:
    state, _ = run(case.detector, case.blocks(60, seed=14))
    with pytest.raises(InvalidInput, match="shape"):
        case.detector.update(state, Block(100, np.zeros(case.dimensions + 1)), 0)


@every_detector
def test_the_state_of_another_detector_is_refused(case: Case) -> None:
    for other in CASES:
        if type(other.detector.start()) is not type(case.detector.start()):
            with pytest.raises(InvalidInput, match=f"the stored state of {case.detector.name} cannot be read"):
                read_state(case.detector, write_state(other.detector.start()))


@pytest.mark.parametrize("sums", [[np.nan], [np.inf], [[1.0]]])
def test_a_block_that_would_poison_a_state_is_refused(sums: list[float]) -> None:
    with pytest.raises(InvalidInput, match="finite"):
        Block(1, np.array(sums))


def test_a_negative_number_of_samples_is_refused() -> None:
    with pytest.raises(InvalidInput, match="-1 samples"):
        Block(-1, np.zeros(1))


def test_blocks_of_two_features_do_not_add_up() -> None:
    with pytest.raises(InvalidInput, match="cannot be added"):
        Block(1, np.zeros(1)) + Block(1, np.zeros(2))
