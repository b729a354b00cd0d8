"""Two-sample tests: exact p-values, false alarms as rare as asked, and what each statistic sees."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from importance.arrays import Floats
from importance.drift.block import Block
from importance.drift.detector import Verdict
from importance.drift.label_shift import LabelShift
from importance.drift.mmd import Mmd
from importance.drift.psi import Psi
from importance.drift.two_sample import Group, TwoSample
from importance.errors import InvalidInput

SPANS: dict[str, Any] = {"reference_blocks": 12, "window_blocks": 6, "stride": 3, "min_samples": 1}


def run(detector: TwoSample, rows: Floats, counts: Floats | None = None) -> list[Verdict | None]:
    """The verdict at each block of sums ``rows`` [blocks, d]; counts are the sums' totals where not given."""
    state, verdicts = detector.start(), []
    for number, row in enumerate(rows):
        count = int(row.sum() if counts is None else counts[number])
        state, verdict = detector.update(state, Block(count, row), number)
        verdicts.append(verdict)
    return verdicts


def group(sums: list[float]) -> Group:
    """One division."""
    return Group(np.array([[sum(sums)]]), np.array([sums]))


def test_checks_are_made_after_every_stride_once_the_window_is_full() -> None:
    rows = np.random.default_rng(1).multinomial(100, [0.5, 0.5], 30).astype(float)
    verdicts = run(LabelShift(1_000, **SPANS), rows)
    assert [number for number, verdict in enumerate(verdicts) if verdict is not None] == [17, 20, 23, 26, 29]


def test_no_verdict_from_too_few_samples() -> None:
    rows = np.full((30, 2), 5.0)
    spans = {**SPANS, "min_samples": 60}
    assert any(run(LabelShift(1_000, **spans), rows))
    assert not any(run(LabelShift(1_000, **{**spans, "min_samples": 61}), rows))


def test_p_values_of_exchangeable_blocks_are_uniform() -> None:
    """Blocks whose rates differ far more than samples of one rate would: only whole blocks are exchangeable."""
    random, p_values = np.random.default_rng(2), []
    detector = LabelShift(60, **SPANS, permutations=199)
    for _ in range(400):
        rates = random.beta(5, 45, 18)
        clicks = random.binomial(100, rates)
        verdict = run(detector, np.stack([100.0 - clicks, clicks], axis=1))[-1]
        assert verdict is not None
        assert verdict.p_value is not None
        p_values.append(verdict.p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 0.001
    naive = stats.chi2.sf(_chi_squares(random), 1)  # the same with samples taken for independent
    assert (naive < 0.05).mean() > 0.15


def _chi_squares(random: np.random.Generator) -> Floats:
    found = []
    for _ in range(400):
        clicks = random.binomial(100, random.beta(5, 45, 18))
        rows = np.stack([100.0 - clicks, clicks], axis=1)
        found.append(LabelShift(60).statistic(group(rows[:12].sum(0).tolist()), group(rows[12:].sum(0).tolist()))[0])
    return np.array(found)


def test_false_alarms_are_not_more_frequent_than_asked() -> None:
    random, expected_run, blocks = np.random.default_rng(3), 100, 20_000
    detector = Mmd(expected_run, **SPANS, permutations=199)
    rows = random.standard_normal((blocks, 3)) * 50
    alarms = sum(verdict.alarm for verdict in run(detector, rows, np.full(blocks, 50)) if verdict is not None)
    assert 0.3 < alarms / (blocks / expected_run) < 1.1


@pytest.mark.parametrize(("window_hours", "false_alarms"), [(24, False), (12, True)])
def test_a_daily_cycle_is_drift_only_to_a_window_that_does_not_cover_it(window_hours: int, false_alarms: bool) -> None:
    random, hours = np.random.default_rng(4), np.arange(24 * 200)
    clicks = random.binomial(200, 0.1 + 0.05 * np.sin(hours * 2 * np.pi / 24))
    spans: dict[str, Any] = {"reference_blocks": 48, "window_blocks": window_hours, "stride": 6, "permutations": 199}
    verdicts = run(LabelShift(600, **spans), np.stack([200.0 - clicks, clicks], axis=1))
    alarms = sum(verdict.alarm for verdict in verdicts if verdict is not None)
    assert (alarms > len(hours) / 600) == false_alarms


def test_the_p_value_is_that_of_all_permutations() -> None:
    """Two of six blocks differ: of the 15 divisions only the observed one is as extreme."""
    detector = LabelShift(8, reference_blocks=4, window_blocks=2, stride=2, permutations=20_000, min_samples=1)
    rows = np.array([[90.0, 10], [91, 9], [92, 8], [89, 11], [50, 50], [52, 48]])
    verdict = run(detector, rows)[-1]
    assert verdict is not None
    assert verdict.p_value == pytest.approx(1 / 15, rel=0.1)
    assert verdict.alarm


def test_the_psi_is_its_formula() -> None:
    p, q = np.array([30.5, 70.5]) / 101, np.array([10.5, 0.5]) / 11
    expected = ((p - q) * np.log(p / q)).sum()
    assert Psi(100, groups=0).statistic(group([30, 70]), group([10, 0])) == pytest.approx([expected])


@given(st.lists(st.integers(0, 50), min_size=20, max_size=200).filter(any))
def test_groups_of_bins_are_about_equal_and_in_order(counts: list[int]) -> None:
    starts = Psi(100)._starts(np.array(counts, dtype=np.float64))
    assert starts[0] == 0
    assert np.all(np.diff(starts) > 0)
    assert 1 <= len(starts) <= 10
    sizes = np.add.reduceat(np.array(counts), starts)
    assert sizes.max() <= sum(counts) / 10 + 2 * max(counts)


def test_the_psi_of_categories_keeps_every_bin() -> None:
    assert Psi(100, groups=0)._starts(np.array([0.0, 5.0, 0.0])).tolist() == [0, 1, 2]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=2, max_size=6))
@settings(max_examples=50)
def test_the_label_shift_is_pearsons_chi_square(table: list[tuple[int, int]]) -> None:
    first, second = (list(map(float, row)) for row in zip(*table, strict=True))
    if sum(first) > 0:
        expected = stats.chi2_contingency(np.array([first, second]), correction=False).statistic
        assert LabelShift(100).statistic(group(first), group(second)) == pytest.approx([expected])


def test_an_outcome_that_never_occurs_changes_nothing() -> None:
    detector = LabelShift(100)
    with_it = detector.statistic(group([5, 0, 7]), group([3, 0, 9]))
    assert with_it == pytest.approx(detector.statistic(group([5, 7]), group([3, 9])))


def test_the_mmd_is_the_squared_distance_of_means() -> None:
    reference, window = (
        Group(np.array([[2.0]]), np.array([[2.0, 4.0]])),
        Group(np.array([[1.0]]), np.array([[4.0, 6.0]])),
    )
    assert Mmd(100).statistic(reference, window).tolist() == [9.0 + 16.0]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"expected_run_blocks": 11}, "expected_run_blocks is 11; it must be at least 12"),
        ({"expected_run_blocks": 6_000, "permutations": 998}, "permutations is 998; it must be at least 999"),
        ({"expected_run_blocks": 100, "reference_blocks": 1}, "reference_blocks is 1"),
        ({"expected_run_blocks": 100, "window_blocks": 0}, "window_blocks is 0"),
        ({"expected_run_blocks": 100, "stride": 0}, "stride is 0"),
        ({"expected_run_blocks": float("nan")}, "expected_run_blocks is nan"),
    ],
)
def test_a_configuration_without_a_meaning_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Mmd(**parameters)
