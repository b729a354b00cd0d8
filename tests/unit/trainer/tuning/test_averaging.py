"""The mean of the weights over the steps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from importance.sample import Sample
from tests.unit.trainer.tuning.cases import SMALL, rows_of
from trainer import version_directory as versions
from trainer.evaluation import evaluate
from trainer.forward import predict
from trainer.labelled import Labelled
from trainer.memory import weights_of
from trainer.tuning import Checkpoints, EarlyStop, LoopState, fine_tune
from trainer.tuning.averaging import averaged


@given(values=st.lists(st.floats(-5, 5), min_size=1, max_size=30), decay=st.floats(0.01, 0.999))
def test_it_is_the_weighted_mean_of_the_weights_after_each_step(values: list[float], decay: float) -> None:
    average: dict[str, torch.Tensor] = {}
    for steps, value in enumerate(values, start=1):
        average = averaged(average, {"w": torch.tensor([value], dtype=torch.float64)}, decay, steps)
    ages = np.arange(len(values))[::-1]
    assert average["w"].item() == pytest.approx(np.average(values, weights=decay**ages), abs=1e-9)


@given(value=st.floats(-5, 5), steps=st.integers(1, 40), decay=st.floats(0.01, 0.999))
def test_of_equal_weights_it_is_these(value: float, steps: int, decay: float) -> None:
    last, average = {"w": torch.tensor([value])}, {}
    for step in range(1, steps + 1):
        average = averaged(average, last, decay, step)
    torch.testing.assert_close(average["w"], last["w"])


def test_a_fine_tune_ends_with_the_average_and_takes_the_same_steps(
    first: Path, samples: list[Sample], labels: np.ndarray
) -> None:
    """The steps start from the last weights: the average has no part in them."""
    states: dict[float, list[LoopState]] = {0.0: [], 0.5: []}
    tuned = {
        decay: fine_tune(
            versions.load(first),
            rows_of(samples, labels),
            replace(SMALL, optimisation=replace(SMALL.optimisation, average_decay=decay)),
            seed=1,
            checkpoints=Checkpoints(1, kept.append),
        )
        for decay, kept in states.items()
    }
    found = weights_of(tuned[0.5].model)
    for name, last in weights_of(tuned[0.0].model).items():
        each = [state.weights[name] for state in states[0.5]]
        assert torch.equal(each[-1], last)
        expected = sum(0.5 ** (3 - at) * weight for at, weight in enumerate(each)) / sum(0.5**age for age in range(4))
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-6)


def test_an_early_stop_judges_the_average(first: Path, samples: list[Sample], labels: np.ndarray) -> None:
    optimisation = replace(SMALL.optimisation, average_decay=0.5, early_stop=EarlyStop(1, 9))
    tuned = fine_tune(
        versions.load(first), rows_of(samples, labels), replace(SMALL, optimisation=optimisation), 1,
        validation=Labelled(samples, labels),
    )  # fmt: skip
    assert tuned.evaluations is not None
    expected = evaluate(labels, predict(tuned.model, samples)).log_loss
    assert tuned.evaluations.lowest == pytest.approx(expected, rel=1e-5)
