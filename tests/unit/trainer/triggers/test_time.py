"""The trigger by the time since the last run."""

from dataclasses import replace

import pytest

from importance.errors import InvalidInput
from tests.unit.trainer.triggers.cases import QUIET
from trainer.triggers import Time

FEW = replace(QUIET, samples=5_001)  # one is new; the last run started at 90


@pytest.mark.parametrize(("now", "fires", "left"), [(100.0, False, 590.0), (689.0, False, 1.0), (690.0, True, 0.0)])
def test_it_fires_when_the_time_since_the_last_start_is_over(now: float, fires: bool, left: float) -> None:
    assert Time(600).fires(FEW, now) is fires
    assert Time(600).seconds_left(FEW, now) == left


def test_it_never_fires_before_the_first_run_or_while_nothing_is_new() -> None:
    for state in (replace(FEW, last_started=None), QUIET):
        assert not Time(600).fires(state, now=1e9)
        assert Time(600).seconds_left(state, now=1e9) is None


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_a_time_that_is_always_over_is_refused(seconds: float) -> None:
    with pytest.raises(InvalidInput, match="it must be above 0: set WEIR_TRAIN_AFTER_SECONDS"):
        Time(seconds)
