"""Page–Hinkley: the run time it promises, next to published values and another implementation."""

from itertools import count

import numpy as np
import pytest

from importance.arrays import Floats
from importance.drift.block import Block
from importance.drift.page_hinkley import PageHinkley, average_run, threshold_for
from importance.errors import InvalidInput


def first_alarm(detector: PageHinkley, values: Floats) -> int | None:
    """The number of blocks until a change was reported."""
    state = detector.start()
    for number, value in enumerate(values.tolist(), start=1):
        state, verdict = detector.update(state, Block(1, np.array([value])), 0)
        if verdict is not None and verdict.alarm:
            return number
    return None


@pytest.mark.parametrize(
    ("threshold", "allowance", "exact"),
    [  # Montgomery, Introduction to Statistical Quality Control, section 9.1
        (4.0, 0.5, 168.0),
        (5.0, 0.5, 465.0),
        (4.77, 0.5, 370.0),
        (8.01, 0.25, 370.0),
        (3.34, 0.75, 370.0),
        (2.52, 1.0, 370.0),
    ],
)
def test_the_average_run_is_the_published_one(threshold: float, allowance: float, exact: float) -> None:
    assert average_run(threshold, allowance) == pytest.approx(exact, rel=0.07)


@pytest.mark.parametrize("run", [10.0, 1e3, 1e6, 1e12])
@pytest.mark.parametrize("allowance", [0.1, 0.25, 0.5, 2.0])
def test_the_threshold_gives_the_run(run: float, allowance: float) -> None:
    assert average_run(threshold_for(run, allowance), allowance) == pytest.approx(run, rel=1e-6)


def test_false_alarms_are_as_rare_as_asked() -> None:
    run, streams, blocks = 100.0, 200, 400
    detector, random = PageHinkley(run), np.random.default_rng(1)
    found = watched = 0
    for _ in range(streams):
        state = detector.start()
        for value in (7 + 3 * random.standard_normal(blocks)).tolist():
            state, verdict = detector.update(state, Block(1, np.array([value])), 0)
            if verdict is not None:
                watched += 1
                found += verdict.alarm
    # Intervals between alarms are nearly exponential: the number is Poisson, and 4 deviations are 4 / sqrt(found).
    assert watched / found == pytest.approx(run, rel=0.05 + 4 / found**0.5)


@pytest.mark.parametrize(("sizes", "exact"), [(1.0, 8.38), (2.0, 3.34), (3.0, 2.19)])
def test_the_delay_is_the_published_one(sizes: float, exact: float) -> None:
    """ARL at h = 4, k = ½ of a shift by so many standard deviations (Montgomery, table 9.3), with a long reference."""
    detector, random, delays = PageHinkley(average_run(4.0, 0.5), reference_blocks=400), np.random.default_rng(2), []
    for _ in range(100):
        values = random.standard_normal(460)
        values[400:] += sizes
        alarm = first_alarm(detector, values)
        assert alarm is not None
        delays.append(alarm - 400)
    assert np.mean(delays) == pytest.approx(exact, abs=0.2 + 4 * np.std(delays) / 10)


def test_a_shift_is_found_when_river_finds_it() -> None:
    from river import drift  # takes seconds

    detector = PageHinkley(10_000, reference_blocks=1_000)
    for seed in range(10):
        random = np.random.default_rng(seed)
        values = random.standard_normal(1_100)
        values[1_000:] += 2
        oracle = drift.PageHinkley(min_instances=1_000, delta=0.5, threshold=detector.threshold, alpha=1.0)
        for expected in count(1):
            oracle.update(values[expected - 1])
            if oracle.drift_detected:
                break
        alarm = first_alarm(detector, values)
        assert expected > 1_000
        assert alarm is not None
        assert abs(alarm - expected) <= 4


@pytest.mark.parametrize("sign", [-1, 1])
def test_one_odd_block_raises_no_alarm_and_two_do(sign: int) -> None:
    random = np.random.default_rng(3)
    usual, odd = random.standard_normal(50), np.full(2, sign * 1e6)
    assert first_alarm(PageHinkley(1_000), np.concatenate([usual, odd[:1], usual])) is None
    assert first_alarm(PageHinkley(1_000), np.concatenate([usual, odd])) == 52


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"expected_run_blocks": 1.0}, "expected_run_blocks is 1.0; it must be at least 1.04"),
        ({"expected_run_blocks": 100, "reference_blocks": 2}, "reference_blocks is 2"),
        ({"expected_run_blocks": 100, "allowance": float("nan")}, "allowance is nan"),
        ({"expected_run_blocks": 100, "min_samples": 0}, "min_samples is 0"),
    ],
)
def test_parameters_without_a_meaning_are_refused(parameters: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        PageHinkley(**parameters)  # type: ignore[arg-type]
