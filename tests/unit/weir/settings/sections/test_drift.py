"""Blocks, reference and window of drift, and the rate of its false alarms."""

import pytest

from importance.drift.two_sample import TwoSample
from tests.support.settings import refusal
from weir import settings
from weir.settings.drift import drift_monitors, drift_sketch


@pytest.mark.parametrize(
    ("name", "value", "bound"),
    [
        ("WEIR_DRIFT", "maybe", "'on' or 'off'"),
        ("WEIR_DRIFT_BLOCK_SECONDS", "0.5", "at least 1"),
        ("WEIR_DRIFT_REFERENCE_BLOCKS", "7", "at least 8"),
        ("WEIR_DRIFT_WINDOW_BLOCKS", "169", "at most WEIR_DRIFT_REFERENCE_BLOCKS, 168"),
        ("WEIR_DRIFT_EXPECTED_RUN_SECONDS", "3600", "at least 691200"),
        ("WEIR_DRIFT_EXPECTED_RUN_SECONDS", "3e8", "at most 2.16e+08"),
    ],
)
def test_a_wrong_value_is_refused_with_its_bound(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, bound: str
) -> None:
    monkeypatch.setenv(name, value)
    text = refusal()
    assert bound in text
    assert name in text


@pytest.mark.parametrize("seconds", ["691200", "2.16e8"])
def test_every_accepted_expected_run_makes_tests(monkeypatch: pytest.MonkeyPatch, seconds: str) -> None:
    monkeypatch.setenv("WEIR_DRIFT_EXPECTED_RUN_SECONDS", seconds)
    detectors = [monitor.detector for monitor in drift_monitors(settings.read())]
    for detector in detectors:
        if isinstance(detector, TwoSample):
            assert (detector.reference_blocks, detector.window_blocks, detector.stride) == (168, 24, 6)
            assert detector.expected_run_blocks == float(seconds) / 3600
    assert len(detectors) == 10


def test_nothing_is_summed_where_drift_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DRIFT", "off")
    assert drift_sketch(settings.read())([], None) == {}  # type: ignore[arg-type]  # not looked at
