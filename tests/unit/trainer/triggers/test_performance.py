"""The trigger by the active version's quality over the latest samples."""

from dataclasses import replace

import pytest

from tests.unit.trainer.triggers.cases import QUIET
from trainer.triggers import Performance, RecentQuality

WORSE = replace(QUIET, samples=6_000)  # 1,000 are new; the AUC fell from .8 to .6


@pytest.mark.parametrize(
    ("auc", "error", "fires"),
    [(0.73, 0.01, True), (0.74, 0.01, False), (0.73, 0.05, False), (float("nan"), 0.01, False)],  # .8 - .05 = .75
)
def test_only_a_significant_drop_fires(auc: float, error: float, fires: bool) -> None:
    state = replace(WORSE, recent=RecentQuality(auc, error, samples=9_000, reference=0.8))
    assert Performance(0.05).fires(state, now=0.0) is fires


def test_too_few_samples_tell_nothing() -> None:
    few = RecentQuality(auc=0.6, error=0.01, samples=999, reference=0.8)
    assert not Performance(0.05).fires(replace(WORSE, recent=few), now=0.0)
    assert not Performance(0.05).fires(replace(WORSE, recent=None), now=0.0)


def test_a_run_that_changed_nothing_is_not_repeated_until_a_thousand_samples_are_new() -> None:
    assert not Performance(0.05).fires(replace(WORSE, samples_at_last=5_001), now=0.0)
