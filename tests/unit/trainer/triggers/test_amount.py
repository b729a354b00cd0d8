"""The trigger by the number of new samples."""

from dataclasses import replace

import pytest

from importance.errors import InvalidInput
from tests.unit.trainer.triggers.cases import QUIET
from trainer.triggers import Amount


@pytest.mark.parametrize(("samples", "fires"), [(5_999, False), (6_000, True), (9_000, True)])
def test_it_fires_once_that_many_samples_are_new(samples: int, fires: bool) -> None:
    assert Amount(1_000).fires(replace(QUIET, samples=samples), now=0.0) is fires


def test_the_first_run_waits_for_the_amount_as_well() -> None:
    first = replace(QUIET, samples_at_last=0, last_started=None, last_ended=None)
    assert not Amount(1_000).fires(replace(first, samples=999), now=0.0)
    assert Amount(1_000).fires(replace(first, samples=1_000), now=0.0)


def test_an_amount_that_is_always_reached_is_refused() -> None:
    with pytest.raises(InvalidInput, match="after 0 samples; it must be at least 1: set WEIR_TRAIN_AFTER_SAMPLES"):
        Amount(0)
